"""Where weights come from, as the report of their own run says, and how they did, as one of an evaluation job says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedefm.errors import ConfigError
from fedefm.metrics.table import heading
from fedefm.report.schema import validate_report

Figures = Mapping[str, Any]
FINETUNE, EVALUATION = "finetune", "evaluation"
AFTER = "tuned"


@dataclass(frozen=True)
class Origin:
    """What a report says about one file of weights.

    Attributes:
        who: the model in words.
        corpora: the classes that each hospital annotates.
        images: of each hospital, by split; a number that a hospital did not tell is missing or None.
        synthetic: hospitals whose images are generated.
        scores: of hospital and class: figures of the test images, with the `support` where it is told.
        lineage: lines, each a fact about the run.
    """

    who: str
    corpora: Mapping[str, tuple[str, ...]]
    images: Mapping[str, Mapping[str, int | None]]
    synthetic: frozenset[str]
    scores: Mapping[str, Mapping[str, Figures]]
    lineage: tuple[str, ...]


def read_origin(weights: Path, sha256: str) -> Origin | None:
    """From `report.json` of the run that made the weights: beside them, or one folder up; None where there is none.

    A report that does not name these weights by their fingerprint says nothing about them and counts as none.

    Raises:
        ConfigError: it is damaged.
    """
    path = _report_of(weights)
    return None if path is None else _origin(path, sha256)


def _report_of(weights: Path) -> Path | None:
    """The report of the run that made the weights, if it lies beside them or one folder up."""
    places = (folder / "report.json" for folder in (weights.parent, weights.parent.parent))
    return next((path for path in places if path.is_file()), None)


def ancestors(weights: Path, sha256: str) -> frozenset[str]:
    """Fingerprints of the weights that a model comes from, as far as the report of its run names them.

    A fine-tuned model comes from its Theta, Theta from the models of its hospitals, and both from an earlier Theta that
    the run started from.

    Raises:
        ConfigError: the report is damaged.
    """
    path = _report_of(weights)
    if path is None:
        return frozenset()
    report = _json(path)
    try:
        return frozenset(_ancestors(report, sha256)) - {sha256} if isinstance(report, dict) else frozenset()
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(path) from error


def _ancestors(report: Mapping[str, Any], sha256: str) -> Iterator[str]:
    if report.get("kind") == EVALUATION:
        return
    if report.get("kind") == FINETUNE:
        if (report["model"] or {}).get("sha256") == sha256 and report["theta"]:
            yield report["theta"]["sha256"]
        return
    theta, models = (report["theta"] or {}).get("sha256"), [entry["sha256"] for entry in report["models"].values()]
    if sha256 in (theta, *models) and report["config"].get("start_sha256"):
        yield report["config"]["start_sha256"]
    if sha256 == theta:
        yield from models


def read_measured(path: Path, sha256: str) -> Mapping[str, Mapping[str, Figures]]:
    """Every figure of an evaluation job about these weights, by hospital and class; None where it stayed at home.

    Raises:
        ConfigError: it is no report of an evaluation, or says nothing about these weights.
    """
    report = _json(path)
    if not isinstance(report, dict) or report.get("kind") != EVALUATION:
        raise ConfigError(f"{path}: no report of `fedefm evaluate`; name its report.json")
    try:
        name = next((model["name"] for model in report["models"] if model["sha256"] == sha256), None)
        if name is None:
            raise ConfigError(f"{path}: did not measure these weights; evaluate them, or leave the option out")
        return {site: dict(found["by_class"]) for site, found in sorted(report["scores"][name].items())}
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(path) from error


def _origin(path: Path, sha256: str) -> Origin | None:
    report = _json(path)
    if isinstance(report, dict) and report.get("kind") == EVALUATION:
        return None
    if isinstance(report, dict) and report.get("kind") == FINETUNE:
        try:
            return _tuned(report, sha256)
        except (KeyError, TypeError, AttributeError) as error:
            raise _damaged(path) from error
    validate_report(report)
    return _trained(report, sha256)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> ConfigError:
    return ConfigError(f"{path}: damaged; restore it, or move it away for a card without figures")


def _trained(report: Mapping[str, Any], sha256: str) -> Origin | None:
    """A foundation run's Theta, or the model of one of its hospitals."""
    dice = report["dice"]
    if (report["theta"] or {}).get("sha256") == sha256:
        who, by_site = "Theta", dice["by_site"]
    else:
        name = next((name for name, entry in report["models"].items() if entry.get("sha256") == sha256), None)
        if name is None:
            return None
        who, by_site = f"the model of {name}", dice["by_model"].get(name, {})
    scores = {
        site: {
            name: {"dice": value, "support": dice["support"].get(site, {}).get(name)} for name, value in found.items()
        }
        for site, found in by_site.items()
    }
    return Origin(who, *_data(report), scores, tuple(_foundation_lines(report)))


def _tuned(report: Mapping[str, Any], sha256: str) -> Origin | None:
    """The weights of a federated fine-tune job; those of hospitals that tuned alone stand in no report."""
    if (report["model"] or {}).get("sha256") != sha256:
        return None
    scores = {site: dict(found[AFTER]) for site, found in report["scores"].items()}
    return Origin("the fine-tuned model", *_data(report), scores, tuple(_finetune_lines(report)))


def _data(
    report: Mapping[str, Any],
) -> tuple[dict[str, tuple[str, ...]], dict[str, dict[str, int | None]], frozenset[str]]:
    sites = report["sites"]
    return (
        {site: tuple(report["corpora"][site]) for site in sites},
        {site: dict(report["images"][site]) for site in sites},
        frozenset(report["synthetic"]),
    )


def _foundation_lines(report: Mapping[str, Any]) -> Iterator[str]:
    what = f"run {report['name']}, method {report['method']}, {report['rounds']} rounds"
    yield f"{what}, seed {report['seed']}, {report['created']}"
    yield "made with " + ", ".join(f"{name} {number}" for name, number in sorted(report["versions"].items()))
    for name, entry in sorted(report["models"].items()):
        yield f"model of {name} sha256 `{entry['sha256']}`"


def _finetune_lines(report: Mapping[str, Any]) -> Iterator[str]:
    config, best, theta = report["config"], report["best"], report["theta"]
    yield f"fine-tuned from Theta sha256 `{theta['sha256']}`" if theta else "trained from random weights, without Theta"
    what = f"run {report['name']}, {config['task']}, mode {config['mode']}, {config['steps']} steps a hospital"
    yield f"{what}, {config['labels']:.0%} of the labelled patients, seed {report['seed']}, {report['created']}"
    by = heading(config["metric"])
    yield f"round {best['round'] + 1} of {config['rounds']}, the best by '{by}' of the validation images"
