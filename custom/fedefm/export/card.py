"""The model card: what somebody must know before using the weights, in Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fedefm.errors import ConfigError
from fedefm.export.onnx_file import NORMALISATION
from fedefm.models.checkpoint import Checkpoint
from fedefm.report import validate_report

LIMITS = (
    "Research software. Not a medical device, and not for clinical decisions.",
    "Scores hold for images like those of the test splits below; other devices, doses and views were not measured.",
    "A class that no hospital named below annotates was learned from others' experts alone.",
    "The weights carry traces of the training images. They are as sensitive as the consortium's agreement says.",
)


def read_report(weights: Path, sha256: str) -> dict[str, Any] | None:
    """`report.json` of the run that made the weights: beside them, or one folder up; None where there is none.

    A report that does not name these weights by their fingerprint says nothing about them and counts as none.

    Raises:
        ConfigError: it is damaged.
    """
    for folder in (weights.parent, weights.parent.parent):
        path = folder / "report.json"
        if path.is_file():
            report = _parse(path)
            if report is None:
                return None
            named = [report["theta"] or {}, *report["models"].values()]
            return report if any(entry.get("sha256") == sha256 for entry in named) else None
    return None


def model_card(checkpoint: Checkpoint, report: Mapping[str, Any] | None, onnx_difference: float) -> str:
    """The card.

    Args:
        checkpoint: the weights.
        report: of `read_report`.
        onnx_difference: of `write_onnx`.
    """
    sections = [
        ("Model", _bullets(_model(checkpoint))),
        ("Classes", _table(("label", "class"), enumerate(["background", *checkpoint.classes]))),
        ("Training data", _data(report)),
        ("Scores", _scores(report, checkpoint.sha256)),
        ("Limits", _bullets(LIMITS)),
        ("Lineage", _bullets(_lineage(checkpoint, report, onnx_difference))),
        ("Licence", "not chosen"),
    ]
    return "# Model card\n\n" + "\n".join(f"## {title}\n\n{body}\n" for title, body in sections)


def _parse(path: Path) -> dict[str, Any] | None:
    """A foundation run's report; None for that of a fine-tune or evaluation job, whose figures are of another kind."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: damaged; restore it, or move it away for a card without figures") from error
    if isinstance(report, dict) and "kind" in report:
        return None
    validate_report(report)
    return dict(report)


def _model(checkpoint: Checkpoint) -> Iterator[str]:
    parameters = sum(value.numel() for value in checkpoint.weights.values())
    spec = checkpoint.spec
    yield f"{spec.architecture} with encoder {spec.encoder}, {parameters / 1e6:.2f} million parameters"
    yield f"input: one grey channel, {checkpoint.size} x {checkpoint.size} pixels; {NORMALISATION}"
    yield "output: one score a class and pixel; the class with the highest is taken"


def _data(report: Mapping[str, Any] | None) -> str:
    if report is None:
        return "Unknown: no report.json of these weights was found."
    rows = [
        (
            site,
            ", ".join(report["corpora"][site]),
            *(report["images"][site].get(part, "") for part in _PARTS),
            _kind(report, site),
        )
        for site in report["sites"]
    ]
    return _table(("hospital", "annotates", *_PARTS, "images"), rows)


_PARTS = ("train", "val", "test")


def _kind(report: Mapping[str, Any], site: str) -> str:
    return "synthetic" if site in report["synthetic"] else "real"


def _scores(report: Mapping[str, Any] | None, sha256: str) -> str:
    if report is None:
        return "Unknown: no report.json of these weights was found."
    by_site, who = _scores_of(report, sha256)
    if not by_site:
        return "These weights were not scored."
    rows = [
        (site, *(_score(report, site, name, scores.get(name)) for name in report["classes"]))
        for site, scores in by_site.items()
    ]
    note = " Synthetic images: these say how methods compare, nothing about patients." if report["synthetic"] else ""
    return (
        f"Dice of {who} over the pixels of each hospital's test images, and in brackets how many hold the class."
        + f"{note}\n\n"
        + _table(("hospital", *report["classes"]), rows)
    )


def _scores_of(report: Mapping[str, Any], sha256: str) -> tuple[Mapping[str, Any], str]:
    """Scores of the model with this fingerprint, and its name."""
    if (report["theta"] or {}).get("sha256") == sha256:
        return report["dice"]["by_site"], "Theta"
    name = next((name for name, entry in report["models"].items() if entry.get("sha256") == sha256), "")
    return report["dice"]["by_model"].get(name, {}), f"the model of {name}"


def _score(report: Mapping[str, Any], site: str, name: str, value: float | None) -> str:
    support = report["dice"]["support"].get(site, {}).get(name)
    return "-" if value is None else f"{value:.3f}" + (f" ({support})" if support is not None else "")


def _lineage(checkpoint: Checkpoint, report: Mapping[str, Any] | None, onnx_difference: float) -> Iterator[str]:
    yield f"weights sha256 `{checkpoint.sha256}`"
    yield f"architecture sha256 `{checkpoint.spec.architecture_hash(len(checkpoint.classes) + 1, checkpoint.size)}`"
    if checkpoint.spec.pretrained:
        yield f"the encoder started from published weights: {checkpoint.spec.pretrained}"
    yield f"ONNX differs from torch by at most {onnx_difference:.1e}"
    if report is None:
        return
    what = f"run {report['name']}, method {report['method']}, {report['rounds']} rounds"
    yield f"{what}, seed {report['seed']}, {report['created']}"
    yield "made with " + ", ".join(f"{name} {number}" for name, number in sorted(report["versions"].items()))
    for name, entry in sorted(report["models"].items()):
        yield f"model of {name} sha256 `{entry['sha256']}`"


def _bullets(lines: Sequence[str] | Iterator[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: Sequence[str], rows: Any) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
