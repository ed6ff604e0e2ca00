"""What the live page and its table say of a status; hostile texts stay texts."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from fedefm.exchange.messages import Stage
from fedefm.exchange.status import Condition, HospitalStatus, JobStatus
from fedefm.report.live import LOOKS, SCRIPT, headline, render_live, row_of, script_hash, table

NOW = 1_700_000_000.0


def hospital(site="hospital-a", condition=Condition.WORKING, **more):
    return HospitalStatus(site=site, condition=condition, **more)


def status(*hospitals, **more):
    plain = {"job": "job-1", "written": NOW, "began": NOW - 60, "round": 1, "rounds": 4, "stage": Stage.OVERSEAS}
    plain |= {"ends": NOW + 300, "end": "", "note": "", "hospitals": hospitals}
    return JobStatus(**(plain | more))


AT_WORK = hospital(
    stage=Stage.OVERSEAS,
    visitor="hospital-b",
    step=3,
    steps=12,
    queue=1,
    steps_per_second=0.5,
    ends=NOW + 18,
    given_up=NOW + 110,
    heartbeat=NOW - 4,
    sent=2_000_000,
    received=3_500_000,
    done=5,
    lost=1,
)


def test_a_row_says_what_until_when_and_how_much():
    row = row_of(AT_WORK, NOW)
    assert (row.work, row.steps, row.share, row.speed) == (
        "overseas, hosts hospital-b (+1 more)",
        "3/12",
        0.25,
        "0.5 steps/s",
    )
    assert row.until == "done in about 18 s; given up in 110 s" and row.heartbeat == "4 s ago"
    assert (row.sent, row.received, row.done, row.lost) == ("2.000 MB", "3.500 MB", 5, 1)


def test_the_headline_says_where_the_job_is_and_until_when():
    assert headline(status()).startswith("round 2 of 4, overseas; its rounds end in about 5 min, at ")
    assert headline(status(round=4, stage=Stage.EVALUATE, ends=None)) == "after the rounds, evaluate"
    assert headline(status(end="finished")) == "the job has ended: finished"


def test_every_condition_has_a_mark_and_its_word_on_page_and_terminal():
    hospitals = [hospital(f"h-{one.value}", one) for one in Condition]
    assert set(LOOKS) == set(Condition) and len({mark for mark, _ in LOOKS.values()}) == len(LOOKS) - 1
    page, screen = render_live("job-1", "RUNNING", status(*hospitals)), io.StringIO()
    Console(file=screen, width=200, color_system=None).print(table("job-1", "RUNNING", status(*hospitals)))
    for one in Condition:
        [card] = re.findall(rf'id="h-{one.value}".*?</section>', page, re.DOTALL)
        assert re.search(rf'<p class="state">.*</span> {one.value}</p>', card)
        [line] = [line for line in screen.getvalue().splitlines() if line.startswith(f"h-{one.value}")]
        assert f" {one.value} " in line


def test_the_terminal_of_80_columns_holds_a_line_for_each_hospital_and_its_reason():
    screen, slow = io.StringIO(), hospital("hospital-b", Condition.SLOW, reason="at this for 90 s", sent=1_234_567)
    Console(file=screen, width=80, color_system=None).print(table("job-1", "RUNNING", status(AT_WORK, slow)))
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    [line] = [line for line in lines if line.startswith("hospital-b  ")]
    assert line.split() == ["hospital-b", "◐", "slow", "–", "–", "–", "–", "1.2", "0.0", "0", "0"]
    assert "hospital-b: at this for 90 s" in lines
    assert "hospital-a: done in about 18 s; given up in 110 s" in lines


def test_a_job_that_does_not_run_says_what_flare_says():
    page = render_live("job-1", "FINISHED:COMPLETED", None)
    assert "finished:completed" in page and 'class="card' not in page


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}"])
def test_a_hostile_reason_stays_a_text(text):
    page = render_live(text, text, status(replace(AT_WORK, reason=text)), trouble=text)
    assert page.count("<script>") == 1 and "<img" not in page and "49" not in page.replace("149", "")
    assert f"<script>{SCRIPT}</script>" in page


def test_the_hash_is_that_of_the_script_on_the_page():
    import base64
    import hashlib

    [script] = re.findall(r"<script>(.*?)</script>", render_live("job-1", "RUNNING", status()), re.DOTALL)
    assert script_hash() == "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
