"""Every figure of every class over the images of a split, as one plain table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from fedefm.metrics.authors import authors_scores
from fedefm.metrics.bootstrap import bootstrap_mean
from fedefm.metrics.calibration import expected_calibration_error
from fedefm.metrics.centreline import centreline_dice
from fedefm.metrics.continuity import pieces
from fedefm.metrics.overlap import Labels, Mask, check_pair, dice, iou
from fedefm.metrics.surface import hausdorff95
from fedefm.metrics.tip import device_tip, tip_distance


@dataclass(frozen=True)
class ScoredImage:
    """One image with what was found and what is there.

    Attributes:
        prediction: label map, 0 for background and k for the k-th class.
        truth: likewise.
        patient: whose image it is; intervals draw patients.
        spacing_mm: millimetres a pixel, or None where nobody knows.
        confidence: the probability of each pixel's predicted class, or None.
    """

    prediction: Labels
    truth: Labels
    patient: str = ""
    spacing_mm: float | None = None
    confidence: Float[np.ndarray, "h w"] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_pair(self.prediction, self.truth)


def score_cases(
    cases: Sequence[ScoredImage],
    classes: Sequence[str],
    annotated: Sequence[str] | None = None,
    *,
    carriers: Mapping[str, str] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Score the images of a split, image by image.

    Args:
        cases: the images.
        classes: foreground class names, in label order.
        annotated: those of them that the truths annotate; default all. The others are not scored.
        carriers: device to what it comes out of, such as `{"guidewire": "catheter"}`; see `device_tip`.
        seed: of the intervals.

    Returns:
        JSON-able: `{"by_class": {name: figures}, "all": {...}}`. Each figure is `{mean, low, high, support}` with a
        95 % bootstrap interval, its `support` the images it rests on:

        - `dice`, `iou`, `cldice`: over images where the class is there or was marked, so an image without it weighs
          only if something was marked there. Where no image is such, the figure is None with support 0.
        - `hd95_px`, `hd95_mm`, `tip_px`, `tip_mm`: over images where it is there and was marked.
        - `pieces`: connected pieces of what was marked, over images where it is there; `pieces_truth` likewise.
        - `missed`: share of the images with the class where nothing was marked; `support` those images.

        `all` has `miou` over the annotated classes (absent from both counts 1), `ece` over all pixels (None without
        confidences), and `as_in_authors_code`.
    """
    scored = [name for name in classes if annotated is None or name in annotated]
    index = {name: k for k, name in enumerate(classes, 1)}
    by_class = {}
    for name in scored:
        carrier = index.get((carriers or {}).get(name, ""))
        rows = [_class_row(case, index[name], carrier) for case in cases]
        by_class[name] = _summarise(rows, cases, seed) | {"support": sum(row["present"] for row in rows)}
    return {"by_class": by_class, "all": _over_classes(cases, [index[name] for name in scored], seed)}


FIGURES = ("dice", "iou", "cldice", "hd95_px", "hd95_mm", "tip_px", "tip_mm", "pieces", "pieces_truth", "missed")


def _class_row(case: ScoredImage, label: int, carrier: int | None) -> dict[str, Any]:
    p, t = case.prediction == label, case.truth == label
    row: dict[str, Any] = {"present": bool(t.any())}
    if p.any() or t.any():
        row |= {"dice": dice(p, t), "iou": iou(p, t), "cldice": centreline_dice(p, t)}
    if t.any():
        row |= {"pieces": float(pieces(p)), "pieces_truth": float(pieces(t)), "missed": float(not p.any())}
    if p.any() and t.any():
        row |= _distances(case, p, t, carrier)
    return row


def _distances(case: ScoredImage, p: Mask, t: Mask, carrier: int | None) -> dict[str, float | None]:
    tips = (
        device_tip(p, None if carrier is None else case.prediction == carrier),
        device_tip(t, None if carrier is None else case.truth == carrier),
    )
    surface, tip, mm = hausdorff95(p, t), tip_distance(*tips), case.spacing_mm
    return {
        "hd95_px": surface,
        "tip_px": tip,
        "hd95_mm": None if mm is None or surface is None else surface * mm,
        "tip_mm": None if mm is None or tip is None else tip * mm,
    }


def _summarise(rows: Sequence[Mapping[str, Any]], cases: Sequence[ScoredImage], seed: int) -> dict[str, Any]:
    return {name: _figure([row.get(name) for row in rows], cases, seed) for name in FIGURES}


def _figure(values: Sequence[float | None], cases: Sequence[ScoredImage], seed: int) -> dict[str, Any]:
    kept = [(float(value), case) for value, case in zip(values, cases, strict=True) if value is not None]
    patients = [case.patient or f"image {k}" for k, (_, case) in enumerate(kept)]
    interval = bootstrap_mean([value for value, _ in kept], patients, seed=seed)
    figures = dict.fromkeys(("mean", "low", "high")) if interval is None else interval._asdict()
    return {**figures, "support": len(kept)}


def _over_classes(cases: Sequence[ScoredImage], labels: Sequence[int], seed: int) -> dict[str, Any]:
    authors = [authors_scores(case.prediction, case.truth, labels) for case in cases]
    ious = [_mean(iou(c.prediction == label, c.truth == label) for label in labels) for c in cases]
    return {
        "miou": _figure(ious, cases, seed),
        "ece": {"mean": _calibration(cases), "support": sum(case.confidence is not None for case in cases)},
        "as_in_authors_code": {name: _mean(row[name] for row in authors) for name in (authors[0] if authors else ())}
        | {"support": len(cases)},
        "support": len(cases),
    }


def _calibration(cases: Sequence[ScoredImage]) -> float | None:
    known = [(c.confidence.ravel(), (c.prediction == c.truth).ravel()) for c in cases if c.confidence is not None]
    if not known:
        return None
    return expected_calibration_error(np.concatenate([k[0] for k in known]), np.concatenate([k[1] for k in known]))


def _mean(values: Iterable[float]) -> float | None:
    kept = list(values)
    return sum(kept) / len(kept) if kept else None
