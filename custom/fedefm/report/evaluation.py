"""The page of an evaluation job: every model at every hospital, figure by figure; and its table on the terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedefm.metrics.table import Metric, Place, of_images
from fedefm.report import text
from fedefm.report.bars import costs
from fedefm.report.matrices import Shade, opacity
from fedefm.report.scores import mean
from fedefm.report.templates import environment
from fedefm.report.text import Number
from fedefm.report.view import flatten
from fedefm.report.write import HTML_NAME

AUTHORS = ("jaccard_with_background", "jaccard_without_background", "dice_over_channels")
SUPPRESSED = "–"
MISSED = "missed"


@dataclass(frozen=True)
class Heat:
    """One figure as a table: a row of shades for each model, one a hospital, and their mean."""

    title: str
    note: str
    rows: tuple[tuple[str, tuple[Shade, ...], str], ...]


def render_evaluation(record: Mapping[str, Any]) -> str:
    """The page of a record of an evaluation job."""
    heats = [heat(record, metric) for metric in of_images(Place.PAGE)]
    return (
        environment()
        .get_template("evaluation.html")
        .render(
            run={
                "source": {"versions": {}, **record},
                **costs(record),
            },
            best=best_model(record),
            left_out=left_out_lines(record),
            heats=[found for found in heats if found],
            tables={model: class_rows(record, model) for model in models_of(record)},
            columns=[heading for _, heading in columns_of(record)],
            overall=overall_rows(record),
            config=flatten(record["config"]),
        )
    )


def models_of(record: Mapping[str, Any]) -> list[str]:
    """Names of the models, in the order in which they were named."""
    return [model["name"] for model in record["models"]]


def columns_of(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Figures and headings of the tables by class: those that are known somewhere."""
    groups = [g for by_site in record["scores"].values() for s in by_site.values() for g in s["by_class"].values()]
    return [(row.name, row.heading) for row in of_images() if any(g[row.name]["mean"] is not None for g in groups)]


def best_model(record: Mapping[str, Any]) -> tuple[str, Number] | None:
    """The model with the highest mean Dice over the hospitals, and that mean; None where none has one."""
    means = {model: mean(row.values()) for model, row in record["matrix"]["dice"].items()}
    known = {model: value for model, value in means.items() if value is not None}
    return max(known.items(), key=lambda item: item[1]) if known else None


def heat(record: Mapping[str, Any], metric: Metric) -> Heat | None:
    """A metric's matrix, shaded by its range; None where it holds no number."""
    rows = record["matrix"].get(metric.name, {})  # a record of an older version may lack it
    values = [value for row in rows.values() for value in row.values() if value is not None]
    if not values:
        return None

    def shade(model: str, site: str) -> Shade:
        value = rows[model][site]
        return Shade(
            text.decimals(value), opacity(value, min(values), max(values)), f"{model} at {site}: {text.decimals(value)}"
        )

    made = tuple(
        (model, tuple(shade(model, site) for site in record["sites"]), text.decimals(mean(rows[model].values())))
        for model in models_of(record)
    )
    return Heat(metric.title, metric.explained, made)


def class_rows(record: Mapping[str, Any], model: str) -> list[tuple[str, str, str, list[str]]]:
    """For each hospital and class: images with the class, then every figure with its interval."""
    rows = []
    for site, scores in sorted(record["scores"][model].items()):
        for name, figures in scores["by_class"].items():
            shown = [cell(figure, figures[figure]) for figure, _ in columns_of(record)]
            rows.append((site, name, text.count(figures["support"]), shown))
    return rows


def overall_rows(record: Mapping[str, Any]) -> list[tuple[str, str, str, list[str]]]:
    """For each model and hospital: images, mIoU, calibration, and the three figures as in the authors' code."""
    rows = []
    for model in models_of(record):
        for site, scores in sorted(record["scores"][model].items()):
            over = scores["all"]
            authors = [text.decimals(over["as_in_authors_code"][name]) for name in AUTHORS]
            values = [interval(over["miou"]), text.decimals(over["ece"]["mean"]), *authors]
            rows.append((model, site, text.count(over["support"]), values))
    return rows


def left_out_lines(record: Mapping[str, Any]) -> list[str]:
    """How many test images each hospital left out, as models of the job proposed their masks."""
    why = "test images are not counted, as these models, or ones that they come from, proposed their masks"
    told = record.get("left_out", {})  # a record of an older version has none
    return [f"{site}: {'few (held back)' if count is None else count} {why}" for site, count in sorted(told.items())]


def cell(name: str, figure: Mapping[str, Number | None]) -> str:
    """What the table by class says of a figure: of images that were missed also how many, `3 of 12: 0.250 (...)`."""
    share, support = figure["mean"], figure["support"]
    if name != MISSED or share is None or support is None:
        return interval(figure)
    return f"{round(share * support)} of {support}: {interval(figure)}"


def interval(figure: Mapping[str, Number | None]) -> str:
    """`0.512 (0.401–0.633)`; a dash where the figure is not known or was held back."""
    if figure["mean"] is None:
        return SUPPRESSED
    if figure["low"] is None or figure["high"] is None:
        return text.decimals(figure["mean"])
    return f"{figure['mean']:.3f} ({figure['low']:.3f}–{figure['high']:.3f})"


def print_evaluation(record: Mapping[str, Any], console: Console | None = None, *, folder: Path | None = None) -> None:
    """Print the matrix of mean Dice, models down and hospitals across.

    Args:
        record: of an evaluation job.
        console: where to print; standard output by default.
        folder: where the report was written.
    """
    console = console or Console()
    synthetic = "  (synthetic data)" if record["synthetic"] else ""
    sites: Sequence[str] = record["sites"]
    heading = f"  {len(record['models'])} models at {text.hospitals(len(sites))}{synthetic}"
    console.print(Text.assemble((record["name"], "bold"), heading))
    table = Table(title="Mean Dice over classes, test images", title_justify="left")
    table.add_column("model", no_wrap=True)
    for site in (*sites, "mean"):
        table.add_column(site, justify="right")
    for model in models_of(record):
        row = record["matrix"]["dice"][model]
        table.add_row(model, *(text.decimals(row[site]) for site in sites), text.decimals(mean(row.values())))
    console.print(table)
    console.print(Text(f"figures of fewer than {record['config']['least_images']} images stay at the hospital", "dim"))
    for line in left_out_lines(record):
        console.print(Text(line, "dim"))
    for item in record["lost"]:
        console.print(f"Lost     {item['site']} at {item['stage']}: {item['reason']}", soft_wrap=True)
    if folder is not None:
        console.print(f"report: {folder / HTML_NAME}", soft_wrap=True)
