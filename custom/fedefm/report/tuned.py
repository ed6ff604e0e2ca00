"""A fine-tune job as a table on the terminal."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedefm.metrics.table import heading
from fedefm.report import text

BEFORE, AFTER = "start", "tuned"


def print_tuned(record: Mapping[str, Any], console: Console | None = None, *, folder: Path | None = None) -> None:
    """Print every figure of the test images before and after, then the weights and what was lost.

    Args:
        record: of a fine-tune job.
        console: where to print; standard output by default.
        folder: where the weights were written.
    """
    console = console or Console()
    config = record["config"]
    synthetic = "  (synthetic data)" if record["synthetic"] else ""
    sites = text.hospitals(len(record["sites"]))
    how = "federated" if config["federated"] else "each hospital alone"
    console.print(
        Text.assemble(
            (record["name"], "bold"),
            f"  {config['task']}, {config['mode']}, {how}, {sites}, seed {record['seed']}{synthetic}",
        )
    )
    console.print(_scores(record))
    for name, value in facts(record, folder):
        console.print(Text.assemble((f"{name:<8}", "bold"), " ", value), soft_wrap=True)


def _scores(record: Mapping[str, Any]) -> Table:
    table = Table(title="Test images, before and after", title_justify="left")
    for column in ("hospital", "class", "figure"):
        table.add_column(column, no_wrap=True)
    for column in ("before", "after", "images"):
        table.add_column(column, justify="right")
    for row in score_rows(record["scores"]):
        table.add_row(*row)
    return table


def score_rows(scores: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Hospital, class, figure, its value before and after, and the number of images; all as text."""
    for site, models in scores.items():
        for name, after in (models or {}).get(AFTER, {}).items():
            before = models[BEFORE].get(name, {})
            for figure in sorted(set(after) - {"support"}):
                shown = (text.decimals(before.get(figure)), text.decimals(after[figure]))
                yield site, name, heading(figure), *shown, text.count(after["support"])


def facts(record: Mapping[str, Any], folder: Path | None = None) -> Iterator[tuple[str, str]]:
    """What a fine-tune started from, chose and left, and whom it lost, as pairs of a name and a text."""
    theta, model, metric = record["theta"], record["model"], record["config"]["metric"]
    yield "Theta", f"sha256 {theta['sha256']}" if theta else "none, from random weights"
    if model:
        best = record["best"]
        by = f"{heading(metric)} {text.decimals(best['value'])}"
        yield "Best", f"round {best['round'] + 1} by {by} of the validation images"
        yield "Weights", f"{folder / model['path'] if folder else model['path']}  sha256 {model['sha256']}"
    else:
        yield "Weights", "each hospital keeps its own"
    cut = sorted({site for entry in record["history"] for site in entry.get("capped", ())}) if model else []
    if cut:
        yield "Capped", f"{', '.join(cut)}: images count at most twice the median hospital's"
    for item in record["lost"]:
        yield "Lost", f"{item['site']} at {item['stage']}: {item['reason']}"
