"""What segmentation and classification do differently: data, loss and metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fedefm.data.dataset import load_site
from fedefm.data.frames import Split
from fedefm.errors import DataError
from fedefm.finetune.few import take_share
from fedefm.finetune.presence import load_presence
from fedefm.finetune.settings import CLASSIFICATION, FineTune
from fedefm.losses.corpus import corpus_channels
from fedefm.losses.segmentation import segmentation_loss
from fedefm.metrics.presence import Presence
from fedefm.metrics.suppression import told_figure, told_scores
from fedefm.metrics.table import IMAGES, Over, of_finetune
from fedefm.models.assurance import Assurance
from fedefm.training.assure import assure
from fedefm.training.loop import Batch
from fedefm.training.scores import score

Figures = dict[str, float | None]
Scores = dict[str, dict[str, float | int | None]]


@dataclass(frozen=True)
class Work:
    """A hospital's data for one job, with the loss and the figures that go with them.

    Attributes:
        splits: `train` (already cut to the share of labels), `val` and `test`.
        corpus: classes that the training labels state.
        synthetic: whether the images are generated.
        loss: of a network on a batch.
        scores: by class, of a network on a split by name, each with its `support` in images.
        assure: how sure to be of a network and what it has seen, by no fewer images than are named; nothing for
            classification.
    """

    splits: Mapping[str, Split]
    corpus: tuple[str, ...]
    synthetic: bool
    loss: Callable[[nn.Module, Batch], Tensor]
    scores: Callable[[nn.Module, str], Scores]
    assure: Callable[[nn.Module, int], Assurance] = lambda model, least: Assurance()


def load_work(folder: Path, settings: FineTune, *, cache: Path | None = None, threads: int = 1) -> Work:
    """Open a hospital's folder for a job.

    Args:
        folder: its images and labels.
        settings: the job.
        cache: where prepared images are kept; None for a folder within the hospital's.
        threads: files at work at the same time while they are prepared.

    Raises:
        DataError: it cannot be used, or no training label is left.
    """
    work = (_classification if settings.task == CLASSIFICATION else _segmentation)(folder, settings, cache, threads)
    if not work.corpus or not len(work.splits["train"]):
        raise DataError(f"{Path(folder).name}: no labelled training image of {', '.join(settings.classes)}; add some")
    return work


@dataclass(frozen=True)
class Measured:
    """A network on a split.

    Attributes:
        images: in the split.
        loss: mean; None for an empty split.
        scores: by class, as `Work.scores` gives them.
    """

    images: int
    loss: float | None
    scores: Scores


def measure(work: Work, model: nn.Module, split: str) -> Measured:
    """Loss and scores of a network on a split."""
    return Measured(len(work.splits[split]), mean_loss(work, model, split), work.scores(model, split))


def figures(seen: Measured, least: int = 1) -> Figures:
    """Every metric by its name, `dice` for the mean and `dice/CLASS` for one class.

    None where it is not defined, or rests on fewer than `least` images.
    """
    scores = told_scores(seen.scores, least)
    found: Figures = {"loss": told_figure(seen.loss, seen.images, least)}
    names = sorted({name for figure in scores.values() for name in figure} - {"support"})
    for name in names:
        values = {label: figure[name] for label, figure in scores.items()}
        known = [float(v) for v in values.values() if v is not None]
        found |= {f"{name}/{label}": value for label, value in values.items()}
        found[name] = sum(known) / len(known) if known else None
    return found


def reported(work: Work, model: nn.Module, least: int = 1) -> list[str]:
    """Names of the metrics that this hospital gives on its validation images."""
    if not len(work.splits["val"]):
        return []
    return sorted(name for name, value in figures(measure(work, model, "val"), least).items() if value is not None)


def mean_loss(work: Work, model: nn.Module, split: str) -> float | None:
    """Loss over a split without augmentation; None for an empty split."""
    device = next(model.parameters()).device
    model.eval()
    with torch.no_grad():
        parts = [
            (len(images), work.loss(model, (images.to(device), masks.to(device))))
            for images, masks in work.splits[split].batches()
        ]
    total = sum(count for count, _ in parts)
    return sum(count * float(loss) for count, loss in parts) / total if total else None


def _segmentation(folder: Path, settings: FineTune, cache: Path | None, threads: int) -> Work:
    site = load_site(folder, settings.classes, settings.size, cache=cache, threads=threads)
    splits = {"train": take_share(site.train, settings.labels, settings.seed), "val": site.val, "test": site.test}
    corpora = {"train": site.corpus, "val": site.corpus, "test": site.test_corpus}
    channels = corpus_channels(site.corpus, settings.classes)
    metrics = of_finetune([*IMAGES, Over.POOLED])

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        return segmentation_loss(model(batch[0]), batch[1], channels).mean()

    def scores(model: nn.Module, name: str) -> Scores:
        return score(model, splits[name], settings.classes, corpora[name], metrics)

    def assured(model: nn.Module, least: int) -> Assurance:
        return assure(model, [replace(site, train=splits["train"])], settings.classes, least)

    return Work(splits, site.corpus, site.synthetic, loss, scores, assured)


def _classification(folder: Path, settings: FineTune, cache: Path | None, threads: int) -> Work:
    site = load_presence(folder, settings.classes, settings.size, cache=cache, threads=threads)
    all_labels = dict(site.labels)
    splits = {**site.splits, "train": take_share(site.splits["train"], settings.labels, settings.seed)}
    train_labels = all_labels["train"]

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        return presence_loss(model(batch[0]), train_labels[batch[1][:, 0, 0].cpu()].to(batch[0].device))

    def scores(model: nn.Module, name: str) -> Scores:
        logits, labels = _logits(model, splits[name]), all_labels[name]
        return {
            label: presence_scores(logits[:, k], labels[:, k])
            for k, label in enumerate(settings.classes)
            if bool((~labels[:, k].isnan()).any())
        }

    return Work(splits, site.corpus, site.synthetic, loss, scores)


def presence_loss(logits: Float[Tensor, "b k"], labels: Float[Tensor, "b k"]) -> Float[Tensor, ""]:
    """Binary cross-entropy over the labels that are stated (not NaN); 0 where none is."""
    known = ~labels.isnan()
    entropy = F.binary_cross_entropy_with_logits(logits, labels.nan_to_num(), reduction="none")
    return (entropy * known).sum() / known.sum().clamp_min(1)


def presence_scores(logits: Float[Tensor, " n"], labels: Float[Tensor, " n"]) -> dict[str, float | int | None]:
    """The figures of one class over the images that state it, and how many of these hold it."""
    known = ~labels.isnan()
    found = Presence(logits[known].numpy(), (labels[known] > 0.5).numpy())
    scores: dict[str, float | int | None] = {row.name: row.value(found) for row in of_finetune([Over.STATED])}
    return scores | {"support": int(found.there.sum())}


def _logits(model: nn.Module, split: Split) -> Tensor:
    device = next(model.parameters()).device
    model.eval()
    with torch.no_grad():
        parts = [model(images.to(device)).cpu() for images, _ in split.batches()]
    return torch.cat(parts) if parts else torch.zeros(0, 1)
