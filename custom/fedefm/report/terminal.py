"""A report as tables on the terminal."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedefm.report import text
from fedefm.report.bars import least, total
from fedefm.report.comparison import compared, summaries
from fedefm.report.scores import OWN, UNSEEN, Cell, Row, mean_of, model_rows, theta_rows
from fedefm.report.text import Number
from fedefm.report.write import HTML_NAME

ALONE = "Pooled Dice of each hospital's own model on its own images"
MARKS = f"{OWN} the hospital labels this class itself   {UNSEEN} learned without a label"


def print_summary(report: Mapping[str, Any], console: Console | None = None, *, folder: Path | None = None) -> None:
    """Print the pooled Dice of the global model per site and class, then its hash, the costs, the losses and the page.

    Args:
        report: what `validate_report` accepts.
        console: where to print; standard output by default.
        folder: where the report was written; names the page by its path, without it no page is named.
    """
    console = console or Console()
    console.print(_heading(report))
    console.print(_scores(report, theta_rows(report)))
    console.print(Text(MARKS, style="dim"))
    _print_facts(console, _facts(report, folder))


def print_comparison(report: Mapping[str, Any], console: Console | None = None, *, folder: Path | None = None) -> None:
    """Print one line per method, then the pooled Dice of each method per site and class, the best in bold with a star.

    Args:
        report: what `validate_report` accepts, with `methods`.
        console: where to print; standard output by default.
        folder: where the report was written; names the page by its path, without it no page is named.
    """
    console = console or Console()
    console.print(_heading(report))
    console.print(_methods(report))
    console.print(_classes(report))
    console.print(Text(MARKS + "   ★ best", style="dim"))
    _print_facts(console, _page(folder))


def _print_facts(console: Console, facts: list[tuple[str, str]]) -> None:
    for name, value in facts:
        console.print(Text.assemble((f"{name:<8}", "bold"), " ", value), soft_wrap=True)


def _heading(report: Mapping[str, Any]) -> Text:
    synthetic = "  (synthetic data)" if report.get("synthetic") else ""
    sites, rounds = text.hospitals(len(report["sites"])), text.rounds(report["rounds"])
    return Text.assemble(
        (report["name"], "bold"), f"  {report['method']}, {sites}, {rounds}, seed {report['seed']}{synthetic}"
    )


def _scores(report: Mapping[str, Any], rows: list[Row]) -> Table:
    table = Table(title="Pooled Dice of Theta" if report["theta"] else ALONE, title_justify="left")
    table.add_column("hospital", no_wrap=True)
    for name in report["classes"]:
        table.add_column(Text(name), justify="right")
    table.add_column("mean", justify="right", style="bold")
    for row in rows:
        table.add_row(Text(row.site), *map(_cell, row.cells), text.decimals(row.mean("dice")))
    own, unseen = text.decimals(mean_of(rows, own=True)), text.decimals(mean_of(rows, own=False))
    table.caption = f"mean pooled Dice {text.decimals(report['dice']['mean'])}, {OWN} {own}, {UNSEEN} {unseen}"
    return table


def _cell(cell: Cell) -> Text:
    style = "dim" if cell.dice is None else ("" if cell.own else "yellow")
    return Text(f"{cell.written('dice')} {cell.mark}", style=style)


def _facts(report: Mapping[str, Any], folder: Path | None) -> list[tuple[str, str]]:
    theta = report["theta"]
    weights = f"{theta['path']}  sha256 {theta['sha256']}" if theta else "none, this method shares no model"
    lost = [("Lost", _lost(item)) for item in report["lost"]] or [("Lost", "no site was lost")]
    return [
        ("Theta", weights),
        ("Time", f"{text.seconds(total(report['seconds']))}{_parts(report['seconds'], text.seconds)}"),
        ("Sent", f"{text.data_size(total(report['bytes']))}{_parts(report['bytes'], text.data_size)}"),
        *_beside_least(report),
        *_beside_plan(report),
        *_since_start(report),
        *[("Resumed", text.resumed(item)) for item in report.get("resumed", ())],
        *lost,
        *(("Standing", standing(item)) for item in report.get("standings", ())),
        *_distrusted(report),
        *_doubted(report),
        *_capped(report),
        *_page(folder),
    ]


def _beside_least(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What had to be sent, at the least."""
    known, size = least(report), total(report["bytes"])
    if not known:
        return []
    return [("Least", f"{text.data_size(known)} had to be sent: {text.times_least(size, known)} times that was")]


def _beside_plan(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What it was planned to take."""
    planned = report.get("planned")
    if not planned:
        return []
    return [("Planned", f"{text.seconds(planned['seconds'])}, {text.data_size(planned['bytes'])} sent")]


def _parts(by_stage: Mapping[str, Number], write: Any) -> str:
    parts = [f"{stage} {write(value)}" for stage, value in by_stage.items() if stage != "total" and value]
    return f"  ({', '.join(parts)})" if parts else ""


def _since_start(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the Theta that the run started from reached, beside the new one."""
    if "start" not in report["dice"]["by_model"]:
        return []
    rows = zip(model_rows(report, "start"), theta_rows(report), strict=True)
    parts = (f"{row.site} {text.decimals(row.mean('dice'))} to {text.decimals(now.mean('dice'))}" for row, now in rows)
    return [("Start", f"pooled Dice of the Theta that it started from, to that of its own: {', '.join(parts)}")]


def _lost(item: Mapping[str, Any]) -> str:
    visitor = "" if item["visitor"] is None else f" (visitor {item['visitor']})"
    when = "" if item["round"] is None else f" in round {item['round']}"
    return f"{item['site']}{when} at {item['stage']}{visitor}: {item['reason']}"


def standing(item: Mapping[str, Any]) -> str:
    """One change of what a hospital is to the job."""
    return f"{item['site']} {item['standing']} in round {item['round']}: {item['reason']}"


def _distrusted(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Silos that lost weight in the last round, worst first."""
    rounds = report.get("reputation", {})
    last = rounds[max(rounds, key=int)] if rounds else {}
    low = sorted((value, site) for site, value in last.items() if value < 1)
    advice = "its weights see little of what others label: look at its images and masks"
    return [("Rated", f"{site} counts {value:.2f} of 1, {advice}") for value, site in low]


def _doubted(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Teachers that students believed less than in full in the last round, and whose students these are."""
    rounds = report.get("doubted", {})
    last = rounds[max(rounds, key=int)] if rounds else {}
    students: dict[str, list[str]] = {}
    for student, teachers in sorted(last.items()):
        for teacher in teachers:
            students.setdefault(teacher, []).append(student)
    return [("Doubted", f"{teacher} as a teacher, by {', '.join(by)}") for teacher, by in sorted(students.items())]


def _capped(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Hospitals whose number of images counted less than they said."""
    sites = sorted({site for cut in report.get("capped", {}).values() for site in cut})
    return [("Capped", f"{', '.join(sites)}: images count at most twice the median hospital's")] if sites else []


def _page(folder: Path | None) -> list[tuple[str, str]]:
    return [] if folder is None else [("Page", str(folder / HTML_NAME))]


def _methods(report: Mapping[str, Any]) -> Table:
    table = Table(title="Means by method", title_justify="left")
    table.add_column("method", no_wrap=True)
    for heading in ("pooled Dice", "pooled IoU", OWN, UNSEEN, "time", "sent", "lost"):
        table.add_column(heading, justify="right", no_wrap=not heading.startswith("pooled"))  # two words, two lines
    for line in summaries(report):
        scores = map(text.decimals, (line.dice, line.iou, line.own, line.unseen))
        cost = f"{line.seconds:.3f} s", text.data_size(line.size), str(line.lost)
        table.add_row(Text(line.name, style="bold"), *scores, *cost)
    if shares := [f"{m.name} {text.times_least(m.size, m.least)}" for m in summaries(report) if m.least]:
        table.caption = f"sent, as a multiple of the least possible: {', '.join(shares)}"
    return table


def _classes(report: Mapping[str, Any]) -> Table:
    table = Table(title="Pooled Dice by hospital and class", title_justify="left")
    table.add_column("hospital", no_wrap=True)
    table.add_column("class", no_wrap=True)
    for name in report["methods"]:
        table.add_column(Text(name), justify="right")
    for index, line in enumerate(compared(report)):
        cells = (_compared(cell, line.is_best(cell)) for cell in line.cells)
        last = (index + 1) % len(report["classes"]) == 0
        table.add_row(Text(line.site), Text(f"{line.mark} {line.name}"), *cells, end_section=last)
    return table


def _compared(cell: Cell, best: bool) -> Text:
    style = "bold" if best else ("dim" if cell.dice is None else "")
    return Text(cell.written("dice") + (" ★" if best else "  "), style=style)
