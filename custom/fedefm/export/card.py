"""The model card: what somebody must know before using the weights, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fedefm.export.parcel import NORMALISATION, Parcel
from fedefm.metrics.table import Place, heading, of_images
from fedefm.models.checkpoint import Checkpoint
from fedefm.report.origin import Figures, Origin

_PARTS = ("train", "val", "test")
_UNKNOWN = "Unknown: no report.json of these weights was found."
LIMITS = (
    "Research software. Not a medical device, and not for clinical decisions.",
    "Scores hold for images like those of the test splits below; other devices, doses and views were not measured.",
    "A class that no hospital named below annotates was learned from others' experts alone.",
    "The weights carry traces of the training images. They are as sensitive as the consortium's agreement says.",
)


def write_card(path: Path, parcel: Parcel, use: str, checks: Sequence[str], head: str = "") -> None:
    """Write the card of `model_card`, after `head`, which machines read.

    Raises:
        OSError: the system refuses to write it.
    """
    path.write_text(head + model_card(parcel, use, checks), encoding="utf-8")


def model_card(parcel: Parcel, use: str, checks: Sequence[str]) -> str:
    """The card.

    Args:
        parcel: the weights and what is known of them.
        use: how to load what lies beside the card, in Markdown.
        checks: lines that say how what was written was compared with torch.
    """
    checkpoint, origin, measured = parcel.checkpoint, parcel.origin, parcel.measured
    sections = [
        ("Model", _bullets(_model(checkpoint))),
        ("Classes", _table(("label", "class"), enumerate(parcel.labels))),
        ("Load it", use),
        ("Training data", _data(origin)),
        ("Scores", _scores(origin)),
        *([("Evaluation", _evaluation(measured))] if measured is not None else []),
        ("Limits", _bullets(LIMITS)),
        ("Lineage", _bullets(_lineage(parcel, checks))),
        ("Licence", _cell(parcel.licence)),
    ]
    return "# Model card\n\n" + "\n".join(f"## {title}\n\n{body}\n" for title, body in sections)


def _model(checkpoint: Checkpoint) -> Iterator[str]:
    parameters = sum(value.numel() for value in checkpoint.weights.values())
    spec = checkpoint.spec
    yield f"{spec.architecture} with encoder {spec.encoder}, {parameters / 1e6:.2f} million parameters"
    yield f"input: one grey channel, {checkpoint.size} x {checkpoint.size} pixels; {NORMALISATION}"
    yield "output: one score a class and pixel; the class with the highest is taken"


def _data(origin: Origin | None) -> str:
    if origin is None:
        return _UNKNOWN
    rows = [
        (
            site,
            ", ".join(corpus),
            *(_count(origin.images[site].get(part)) for part in _PARTS),
            "synthetic" if site in origin.synthetic else "real",
        )
        for site, corpus in origin.corpora.items()
    ]
    return _table(("hospital", "annotates", *_PARTS, "images"), rows)


def _scores(origin: Origin | None) -> str:
    if origin is None:
        return _UNKNOWN
    found = [(site, name, figures) for site, scores in origin.scores.items() for name, figures in scores.items()]
    if not found:
        return "These weights were not scored."
    names = sorted({name for _, _, figures in found for name in figures} - {"support"})
    rows = [
        (site, name, *(_decimals(figures.get(figure)) for figure in names), _count(figures.get("support")))
        for site, name, figures in found
    ]
    note = " Synthetic images: these say how methods compare, nothing about patients." if origin.synthetic else ""
    table = _table(("hospital", "class", *map(heading, names), "images with it"), rows)
    return f"Of {origin.who}, over each hospital's test images as one.{note}\n\n{table}"


def _evaluation(measured: Mapping[str, Mapping[str, Figures]]) -> str:
    shown = of_images(Place.CARD)
    head = ("hospital", "class", *(row.heading for row in shown), "images with it")
    rows = [
        (site, name, *(_interval(figures.get(row.name)) for row in shown), _count(figures.get("support")))
        for site, by_class in measured.items()
        for name, figures in by_class.items()
    ]
    return (
        "Means over test images with 95 % intervals (bootstrap over patients); '-' is not defined, not known, or rests "
        "on too few images to be told.\n\n" + _table(head, rows)
    )


def _interval(figure: Any) -> str:
    plain = figure if isinstance(figure, Mapping) else {}
    mean, low, high = (plain.get(key) for key in ("mean", "low", "high"))
    return _decimals(mean) + (f" ({_decimals(low)} to {_decimals(high)})" if mean is not None else "")


def _decimals(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, (int, float)) else "-"


def _count(value: Any) -> str:
    return str(value) if isinstance(value, int) else "-"


def _lineage(parcel: Parcel, checks: Sequence[str]) -> Iterator[str]:
    checkpoint, origin = parcel.checkpoint, parcel.origin
    yield f"weights sha256 `{checkpoint.sha256}`"
    yield f"architecture sha256 `{checkpoint.spec.architecture_hash(len(checkpoint.classes) + 1, checkpoint.size)}`"
    if checkpoint.spec.pretrained:
        yield f"the encoder started from published weights: {checkpoint.spec.pretrained}"
    if parcel.signed:
        yield f"signed by {parcel.signed}"
    yield from checks
    if origin is not None:
        yield f"hospitals: {len(origin.corpora)}"
        yield from origin.lineage


def _bullets(lines: Sequence[str] | Iterator[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: Sequence[str], rows: Any) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
