"""The page of a fine-tune job: every figure before and after, the rounds, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedefm.metrics.table import heading
from fedefm.report.bars import costs
from fedefm.report.curves import Panel, draw, series
from fedefm.report.palette import site_strokes
from fedefm.report.templates import environment
from fedefm.report.tuned import facts, score_rows
from fedefm.report.view import flatten


def render_tuned(record: Mapping[str, Any]) -> str:
    """The page of a record of a fine-tune job; where each hospital tuned alone it has no rounds."""
    together = bool(record["model"])
    return (
        environment()
        .get_template("tuned.html")
        .render(
            run={
                "source": {"versions": {}, **record},
                "panels": panels(record["history"], record["config"]["metric"], record["sites"]) if together else (),
                **costs(record),
            },
            metric=heading(record["config"]["metric"]),
            best=record["best"]["value"] if together else None,
            scores=list(score_rows(record["scores"])),
            site_strokes=site_strokes(record["sites"]),
            config=flatten(record["config"]),
            facts=list(facts(record)),
        )
    )


def panels(history: Sequence[Mapping[str, Any]], metric: str, sites: Sequence[str]) -> tuple[Panel, ...]:
    """Training loss, and the metric that chooses the round, by round, a line a hospital."""
    if not history:
        return ()
    last = max(entry["round"] for entry in history)
    losses = series((entry["round"], entry["loss"]) for entry in history)
    chosen = series(
        (entry["round"], {site: found.get(metric) for site, found in entry["metrics"].items()}) for entry in history
    )
    name = heading(metric)
    drawn = [
        ("Loss", "Training loss by round", losses, "loss"),
        (f"Validation, {name}", f"{name} of the validation images by round", chosen, name),
    ]
    return tuple(Panel(title, alt, draw(lines, sites, label, last)) for title, alt, lines, label in drawn if lines)
