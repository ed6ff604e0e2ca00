"""The pages hold to what they say: their width, their links, the files and the commands that they name."""

import argparse
import re
import shlex
import tomllib
from pathlib import Path

import nvflare
import pytest
from benchmarks.fixed.page import BEGIN, END

from fedefm.cli import build_parser
from support.markdown import anchors, blocks, code_spans, commands, links

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md")),
]
TODAY = [page for page in PAGES if page != "CHANGELOG.md"]  # which tells of files and commands that are gone
WIDTH, README_LINES = 120, 150
MODULES = ROOT / "custom" / "fedefm"
NAMED = re.compile(r"[\w.-]+(?:/[\w.-]+)+")
PLACEHOLDER = re.compile(r"(^|/)[A-Z_]+(\.\w+)?(/|$)")  # such as NAME.json
PACKAGES = Path(nvflare.__file__).parents[1]
OURS = ("benchmarks", "custom", "docs", "jobs", "provisioning", "tests", "workspace_templates")


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def test_every_page_of_the_repository_is_checked() -> None:
    found = [*ROOT.glob("*.md"), *(path for folder in OURS for path in (ROOT / folder).rglob("*.md"))]
    assert sorted(path.relative_to(ROOT).as_posix() for path in found) == sorted(PAGES)


def too_long(text: str) -> list[str]:
    """Lines that are too long, but for table rows, which cannot be wrapped, and for what a program printed or reads.

    A fenced block in which a reader finds something to type is no printed output: a long command takes a backslash.
    """
    printed = {
        number
        for block in blocks(text)
        if not block.has_commands
        for number in range(block.first, block.first + len(block.lines))
    }
    return [
        f"line {number}: {len(line)} characters"
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) > WIDTH and not line.startswith("|") and number not in printed
    ]


@pytest.mark.parametrize("page", PAGES)
def test_lines_are_not_too_long(page: str) -> None:
    assert too_long(text_of(page)) == []


def test_a_long_line_is_found_and_a_row_or_an_output_is_none() -> None:
    long = "x" * (WIDTH + 1)
    assert too_long(f"short\n{long}\n") == ["line 2: 121 characters"]
    assert too_long(f"| {long} |\n```\n{long}\n```\n") == []
    assert too_long(f"```\nfedefm simulate {long}\n```\n") == ["line 2: 137 characters"]


def test_the_readme_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= README_LINES


@pytest.mark.parametrize("page", TODAY)
def test_links_lead_somewhere(page: str) -> None:
    for target in links(text_of(page)):
        if target.startswith(("https://", "http://")):
            continue
        file, _, anchor = target.partition("#")
        place = (ROOT / page).parent / file if file else ROOT / page
        assert place.exists(), target
        assert not anchor or anchor in anchors(place.read_text()), target


def is_there(name: str) -> bool:
    """Whether a file that a page names is there: ours, a module under `custom/fedefm`, or one of FLARE's own."""
    return any((folder / name).exists() for folder in (ROOT, MODULES, PACKAGES))


def named_files(text: str) -> list[str]:
    """Paths in inline code that are ours by their first folder, or Python files; those with a placeholder are none."""
    found = [name for span in code_spans(text) for name in NAMED.findall(span) if not PLACEHOLDER.search(name)]
    return [name for name in found if name.endswith(".py") or name.split("/")[0] in OURS]


@pytest.mark.parametrize("page", TODAY)
def test_files_that_a_page_names_are_there(page: str) -> None:
    assert [name for name in named_files(text_of(page)) if not is_there(name)] == []


def test_a_file_that_is_gone_is_noticed() -> None:
    assert named_files("see `training/gone.py`, `jobs/gone` and `out/models`") == ["training/gone.py", "jobs/gone"]
    assert is_there("maths/cost.py") and is_there("jobs/foundation") and not is_there("training/gone.py")


def subcommand(parser: argparse.ArgumentParser, words: list[str]) -> bool:
    """Whether the words name a command or a group of commands, without options."""
    for word in words:
        choices = next((a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)), {})
        if word not in choices:
            return False
        parser = choices[word]
    return True


def refused(command: str) -> str | None:
    """What the real parser says against `fedefm ...`; None where it takes it. What follows `&&` is not ours."""
    words = shlex.split(command.partition(" && ")[0], comments=True)[1:]
    try:
        build_parser().parse_args(words)
    except SystemExit as ended:
        return command if ended.code else None
    return None


@pytest.mark.parametrize("page", TODAY)
def test_our_parser_takes_each_command_of_a_page(page: str) -> None:
    text = text_of(page)
    spans = [span.removeprefix(".venv/bin/") for span in code_spans(text)]
    inline = [s for s in spans if s.startswith("fedefm ") and not subcommand(build_parser(), s.split()[1:])]
    assert [c for c in [*commands(text, "fedefm"), *inline] if refused(c)] == []


def test_a_command_of_another_time_is_refused() -> None:
    assert refused("fedefm benchmark run") and refused("fedefm simulate --no-such-option")
    assert refused("fedefm data check hospital  # reads everything") is None
    assert not subcommand(build_parser(), ["benchmark"]) and subcommand(build_parser(), ["data", "check"])


def test_the_test_command_of_the_readme_is_that_of_the_continuous_integration() -> None:
    last = (ROOT / ".ci" / "run").read_text().splitlines()[-1]
    assert last == "make test" and (last,) in [block.lines for block in blocks(text_of("README.md"))]


@pytest.mark.parametrize("page", TODAY)
def test_make_knows_each_target_of_a_page(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = text_of(page)
    typed = [*commands(text, "make"), *(span for span in code_spans(text) if span.startswith("make "))]
    named = {word for line in typed for word in shlex.split(line, comments=True)[1:] if "=" not in word}
    assert named <= targets


def test_the_wheel_is_called_as_the_pages_say() -> None:
    version = tomllib.loads(text_of("pyproject.toml"))["project"]["version"]
    named = {name for page in TODAY for name in re.findall(r"fedefm-[\d.]+-py3-none-any\.whl", text_of(page))}
    assert named == {f"fedefm-{version}-py3-none-any.whl"}


def test_the_made_part_of_the_benchmark_page_has_the_marks_that_its_command_looks_for() -> None:
    text = text_of("docs/benchmark.md")
    assert text.count(BEGIN) == text.count(END) == 1 and text.index(BEGIN) < text.index(END)
