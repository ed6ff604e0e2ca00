"""The page of a data report: who labels what, and what every hospital's images are like; and its table on the terminal.

It is made from `report.json`, or from the `record.json` that the server of a federation leaves.
"""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedefm.report import text
from fedefm.report.bars import costs
from fedefm.report.templates import environment
from fedefm.report.view import flatten

LABELLED, UNSEEN = "●", "○"
NOT_COMPARED = "not compared"
FIGURES = ("patients", "cines", "unreadable")


def render_survey(record: Mapping[str, Any]) -> str:
    """The page of a record of a data report."""
    return (
        environment()
        .get_template("survey.html")
        .render(
            run={
                "source": {"versions": {}, **record},
                **costs(record),
            },
            corpora=corpus_rows(record),
            counts=count_rows(record),
            looks=look_rows(record),
            same=same_rows(record),
            config=flatten(record["config"]),
        )
    )


def corpus_rows(record: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """For each hospital and class a mark, whether it labels the class, and the training frames that hold it."""
    rows = []
    for site, told in record["summaries"].items():
        cells = []
        for name in record["classes"]:
            own = name in told["corpus"]
            frames = text.count(told["classes"][name]["train"]) if own and name in told["classes"] else ""
            cells.append((LABELLED if own else UNSEEN, frames))
        rows.append((site, cells))
    return rows


def count_rows(record: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """For each hospital: frames by split, patients, cines, files that cannot be read, whether it could train."""
    return [
        (
            site,
            [
                *(text.count(told["frames"][split]) for split in ("train", "val", "test")),
                *(text.count(told[name]) for name in FIGURES),
                "yes" if told["trains"] else "no",
            ],
        )
        for site, told in record["summaries"].items()
    ]


def look_rows(record: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """For each hospital: formats, sizes, bits, greys and millimetres a pixel."""
    return [
        (
            site,
            [
                ", ".join(f"{name} ({files})" for name, files in told["formats"].items()) or "–",
                ", ".join(f"{one['columns']} x {one['rows']} ({one['files']})" for one in told["sizes"]) or "–",
                ", ".join(f"{one['bits']} ({one['files']})" for one in told["bits"]) or "–",
                *(text.decimals(told["grey"][name]) for name in ("dark", "middle", "bright")),
                text.decimals(told["spacing_mm"]["median"]),
            ],
        )
        for site, told in record["summaries"].items()
    ]


def same_rows(record: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """For each hospital and each other how many pictures both have; no row in a record of a job that did not compare.

    `< 5` is said for none as well, where 5 is the larger least of the two.
    """
    pairs = record.get("same_pictures", [])
    cells = {frozenset(pair["sites"]): same_cell(pair, record["summaries"]) for pair in pairs}
    sites = record["sites"] if pairs else []
    return [(one, ["·" if one == other else cells[frozenset((one, other))] for other in sites]) for one in sites]


def same_cell(pair: Mapping[str, Any], summaries: Mapping[str, Any]) -> str:
    """What the table says of a pair."""
    if not pair["compared"]:
        return NOT_COMPARED
    least = max(summaries[site]["least"] for site in pair["sites"])
    return f"< {least}" if pair["common"] is None else text.count(pair["common"])


def print_survey(record: Mapping[str, Any], console: Console | None = None) -> None:
    """Print who labels what, and what stands out."""
    console = console or Console()
    console.print(Text.assemble((record["name"], "bold"), f"  {text.hospitals(len(record['sites']))}"))
    table = Table(title=f"Who labels what ({LABELLED} with training frames, {UNSEEN} unseen)", title_justify="left")
    for heading in ("hospital", *record["classes"], "train", "val", "test"):
        table.add_column(heading, no_wrap=True)
    counts = dict(count_rows(record))
    for site, cells in corpus_rows(record):
        table.add_row(site, *(f"{mark} {frames}" for mark, frames in cells), *counts[site][:3])
    console.print(table)
    for remark in record["remarks"]:
        console.print(f"look at: {remark['site'] or 'all'}: {remark['text']}", soft_wrap=True, highlight=False)
    for item in record["lost"]:
        console.print(f"Lost     {item['site']}: {item['reason']}", soft_wrap=True, highlight=False)
