"""Every figure of every class over the images of a split, as one plain table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from fedefm.metrics.authors import authors_scores
from fedefm.metrics.bootstrap import bootstrap_mean
from fedefm.metrics.calibration import Calibration
from fedefm.metrics.overlap import Labels, Overlap, check_pair, iou
from fedefm.metrics.pair import Pair
from fedefm.metrics.table import Metric, Over, of_images


@dataclass(frozen=True)
class ScoredImage:
    """One image with what was found and what is there.

    Attributes:
        prediction: label map, 0 for background and k for the k-th class.
        truth: likewise.
        patient: whose image it is; intervals draw patients.
        spacing_mm: millimetres from row to row and from column to column, or None where nobody knows.
        confidence: the probability of each pixel's predicted class, NaN where nobody knows the truth; or None.
    """

    prediction: Labels
    truth: Labels
    patient: str = ""
    spacing_mm: tuple[float, float] | None = None
    confidence: Float[np.ndarray, "h w"] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_pair(self.prediction, self.truth)


def score_cases(
    cases: Iterable[ScoredImage],
    classes: Sequence[str],
    annotated: Sequence[str] | None = None,
    *,
    carriers: Mapping[str, str] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Score the images of a split, image by image.

    Args:
        cases: the images; each is looked at once and then let go.
        classes: foreground class names, in label order.
        annotated: those of them that the truths annotate; default all. The others are not scored.
        carriers: device to what it comes out of, such as `{"guidewire": "catheter"}`; see `device_tip`.
        seed: of the intervals.

    Returns:
        JSON-able: `{"by_class": {name: figures}, "all": {...}}`. The figures are those of `fedefm.metrics.table` that
        are computed of images. Each is `{mean, low, high, support}` with a 95 % bootstrap interval, its `support` the
        images it rests on; where there is none such, the figure is None with support 0. Where a metric counts images in
        which the class is there or was marked, an image without it weighs only if something was marked there.

        `all` has `miou` over the annotated classes (absent from both counts 1), `ece` over all pixels (None without
        confidences), and `as_in_authors_code`.
    """
    scored = [name for name in classes if annotated is None or name in annotated]
    index = {name: k for k, name in enumerate(classes, 1)}
    by_class = {name: _ByImage(index[name], index.get((carriers or {}).get(name, ""))) for name in scored}
    together, patients = _Together([index[name] for name in scored]), list[str]()
    for case in cases:
        patients.append(case.patient)
        for figures in by_class.values():
            figures.add(case)
        together.add(case)
    return {
        "by_class": {name: figures.found(patients, seed) for name, figures in by_class.items()},
        "all": together.found(patients, seed),
    }


class Tally:
    """The figures of one class over a split, whose images are seen one at a time.

    Args:
        metrics: of pooled pixels, or of images: then the mean of those that have a value.
    """

    def __init__(self, metrics: Sequence[Metric]):
        self._values = [(metric, list[float]()) for metric in metrics]
        self._pixels, self.images, self.support = Overlap(), 0, 0

    def add(self, pair: Pair) -> None:
        """Count an image."""
        self.images, self.support = self.images + 1, self.support + pair.there
        self._pixels += Overlap.of(pair.prediction, pair.truth)
        for metric, values in self._values:
            if metric.over is not Over.POOLED and metric.counts(pair):
                value = metric.value(pair)
                values += [] if value is None else [value]

    def figures(self) -> dict[str, float | None]:
        """Each metric by its name; None where it is not defined."""
        return {
            metric.name: metric.value(self._pixels) if metric.over is Over.POOLED and self.images else _mean(values)
            for metric, values in self._values
        }


class _ByImage:
    """The figures of one class, image by image."""

    def __init__(self, label: int, carrier: int | None):
        self._label, self._carrier, self._support = label, carrier, 0
        self._values = [(metric, list[float | None]()) for metric in of_images()]

    def add(self, case: ScoredImage) -> None:
        pair = _pair(case, self._label, self._carrier)
        self._support += pair.there
        for metric, values in self._values:
            values.append(metric.value(pair) if metric.counts(pair) else None)

    def found(self, patients: Sequence[str], seed: int) -> dict[str, Any]:
        return {m.name: _figure(values, patients, seed) for m, values in self._values} | {"support": self._support}


class _Together:
    """The figures over all classes."""

    def __init__(self, labels: Sequence[int]):
        self._labels, self._calibration, self._confident = labels, Calibration(), 0
        self._authors, self._ious = list[dict[str, float]](), list[float | None]()

    def add(self, case: ScoredImage) -> None:
        self._authors.append(authors_scores(case.prediction, case.truth, self._labels))
        self._ious.append(_mean(iou(case.prediction == label, case.truth == label) for label in self._labels))
        if case.confidence is not None:
            self._confident += 1
            known = ~np.isnan(case.confidence)
            self._calibration.add(case.confidence[known], (case.prediction == case.truth)[known])

    def found(self, patients: Sequence[str], seed: int) -> dict[str, Any]:
        names = tuple(self._authors[0]) if self._authors else ()
        return {
            "miou": _figure(self._ious, patients, seed),
            "ece": {"mean": self._calibration.error, "support": self._confident},
            "as_in_authors_code": {name: _mean(row[name] for row in self._authors) for name in names}
            | {"support": len(patients)},
            "support": len(patients),
        }


def _pair(case: ScoredImage, label: int, carrier: int | None) -> Pair:
    prediction, truth = case.prediction, case.truth
    if carrier is None:
        return Pair(prediction == label, truth == label, spacing_mm=case.spacing_mm)
    return Pair(prediction == label, truth == label, prediction == carrier, truth == carrier, case.spacing_mm)


def _figure(values: Sequence[float | None], patients: Sequence[str], seed: int) -> dict[str, Any]:
    kept = [(float(value), patient) for value, patient in zip(values, patients, strict=True) if value is not None]
    drawn = [patient or f"image {k}" for k, (_, patient) in enumerate(kept)]
    interval = bootstrap_mean([value for value, _ in kept], drawn, seed=seed)
    figures = dict.fromkeys(("mean", "low", "high")) if interval is None else interval._asdict()
    return {**figures, "support": len(kept)}


def _mean(values: Iterable[float]) -> float | None:
    kept = list(values)
    return sum(kept) / len(kept) if kept else None
