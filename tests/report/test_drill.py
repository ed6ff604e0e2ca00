"""The table, the page and the file of a drill."""

import json
import re
from io import StringIO

import pytest
from rich.console import Console

from fedefm.report.drill import HTML_NAME, JSON_NAME, print_drill, render_drill, write_drill


def fault(kept=True, text="named as lost after 61 s"):
    happened = [{"kept": True, "text": "done at 5 s"}, {"kept": kept, "text": text}]
    return {
        "typed": "kill b@3",
        "done": "hospital-b killed in round 3",
        "promised": "named as lost",
        "happened": happened,
        "kept": kept,
    }


@pytest.fixture
def summary():
    return {
        "kept": False,
        "began": "2026-01-02T03:04:05+00:00",
        "versions": {"fedefm": "0.1.0", "nvflare": "2.9.0"},
        "consortium": "north <b>",
        "server": "fedefm.example.org",
        "hospitals": ["hospital-a", "hospital-b"],
        "rounds": 4,
        "seed": 0,
        "patience": 60.0,
        "deadline": 900.0,
        "faults": [fault(), fault(False, "not named as lost <script>")],
        "lost": ["hospital-b"],
        "theta": "1" * 64,
        "expected": "2" * 64,
        "trouble": "the next job ended as nothing",
        "seconds": {"start": 20.0, "job": 100.0},
    }


def test_the_page_stands_alone_escapes_what_it_shows_and_tells_what_was_broken(summary):
    page = render_drill(summary)
    assert "<script" not in page and "north &lt;b&gt;" in page
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert "a promise was broken" in page and "<strong>not named as lost &lt;script&gt;</strong>" in page
    assert page.count("✓ kept") == page.count("✕ broken") == 1
    assert "the next job ended as nothing" in page and "1" * 64 in page


def test_a_drill_that_kept_all_says_so(summary):
    summary |= {"kept": True, "faults": [fault()], "trouble": ""}
    page = render_drill(summary)
    assert "every promise was kept" in page and "broken" not in page


def test_file_and_page_are_written_together(summary, tmp_path):
    assert write_drill(summary, tmp_path / "out") == tmp_path / "out" / HTML_NAME
    assert json.loads((tmp_path / "out" / JSON_NAME).read_text()) == summary


def test_the_table_names_what_was_done_promised_and_seen(summary):
    console = Console(file=StringIO(), width=160)
    print_drill(summary, console)
    said = console.file.getvalue()
    assert "hospital-b killed in round 3" in said and "done at 5 s; named as lost after 61 s" in said
    assert "1 of 2 promises broken; the next job ended as nothing; 2 min" in said
