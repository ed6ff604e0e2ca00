"""Render a report as one HTML page that needs no other file, no network and no script."""

from collections.abc import Mapping, Sequence
from typing import Any

from fedefm.report.bars import method_bars
from fedefm.report.comparison import compared, summaries
from fedefm.report.overlay import Overlay, pictures
from fedefm.report.palette import class_colours, site_strokes
from fedefm.report.templates import environment
from fedefm.report.view import flatten, run_view


def render(report: Mapping[str, Any], overlays: Sequence[Overlay]) -> str:
    """The page of a run, or of a comparison if the report has `methods`.

    Args:
        report: what `validate_report` accepts.
        overlays: pictures of predictions; those shown are shrunk to keep the page below 2 MB.
    """
    shared = {
        "run": run_view(report, curves="methods" not in report),
        "pictures": pictures(overlays, report["classes"]),
        "overlays_total": len(overlays),
        "class_colours": class_colours(report["classes"]),
        "site_strokes": site_strokes(report["sites"]),
        "config": flatten(report["config"]),
    }
    if "methods" not in report:
        return environment().get_template("run.html").render(shared)
    return environment().get_template("comparison.html").render(shared | _comparison(report))


def _comparison(report: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "bars": method_bars(report["dice"]["by_method"]),
        "summaries": summaries(report),
        "compared": compared(report),
        "methods": {name: run_view(run) for name, run in report["methods"].items()},
        "strokes": {name: site_strokes(run["sites"]) for name, run in report["methods"].items()},
        "settings": {name: flatten(run["config"]) for name, run in report["methods"].items()},
    }
