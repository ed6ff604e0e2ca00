"""A hospital's side of an evaluation job: one model at a time on its own test images; small counts stay at home."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fedefm.data.dataset import SiteData, load_site
from fedefm.data.frames import BATCH, Split
from fedefm.data.label_sets import NOTHING_KNOWN
from fedefm.errors import DataError, ProtocolError
from fedefm.evaluation.settings import Evaluation
from fedefm.exchange.messages import STUDENT, Stage, Task
from fedefm.metrics import ScoredImage, score_cases
from fedefm.metrics.suppression import told_count, told_scores
from fedefm.models.build import Weights, build_model
from fedefm.training.site import Site, Work

CARRIERS = {"guidewire": "catheter"}
"""A guidewire comes out of a catheter: that is the end of it which is no tip."""


class Measurer(Site):
    """One site at work. A result depends only on the assignment and on the site's own images.

    Args:
        name: the site.
        folder: its images and labels.
        settings: the job.
        device: `cpu`, `cuda` or `cuda:1`.
        threads: of torch.
        cache: where its prepared images are kept; None for a folder within its own.
        least: figures of fewer images never leave; the job may ask for more, not for less.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        settings: Evaluation,
        *,
        device: str = "cpu",
        threads: int = 1,
        cache: Path | None = None,
        least: int = 1,
    ):
        super().__init__(name, device=device, threads=threads, least=max(least, settings.least_images))
        self._folder, self._settings, self._cache = folder, settings, cache
        self._data: SiteData | None = None

    @property
    def data(self) -> SiteData:
        """The site's images, prepared when first wanted."""
        if self._data is None:
            self._data = load_site(
                self._folder,
                self._settings.classes,
                self._settings.size,
                cache=self._cache,
                threads=self._threads,
                leave_out_proposed_by=self._settings.leave_out_proposed_by,
            )
            if self._data.left_out and not len(self._data.test):
                raise DataError(
                    f"{self.name}: no test image is left, as models of this job proposed all masks; "
                    "annotate some test images without a proposal"
                )
            if not len(self._data.test):
                raise DataError(f"{self.name}: no test image; put at least one patient into the test split")
        return self._data

    @property
    def stages(self) -> Mapping[Stage, Work]:
        """What the hospital does in each stage."""
        return {Stage.PREPARE: self._prepare, Stage.MEASURE: self._measure}

    @property
    def images(self) -> int:
        """0: no weight hangs on how many test images there are, so their number stays at home."""
        return 0

    def _prepare(self, task: Task, models: Any, should_stop: Any) -> tuple[None, dict[str, Any]]:
        told = {"left_out": told_count(self.data.left_out, self.least)} if self._settings.leave_out_proposed_by else {}
        return None, {
            "corpus": list(self.data.test_corpus),
            "images": {"test": told_count(len(self.data.test), self.least)},
            "synthetic": self.data.synthetic,
            **told,
        }

    def _measure(self, task: Task, models: Mapping[str, Weights], should_stop: Any) -> tuple[None, dict[str, Any]]:
        if set(models) != {STUDENT}:
            raise ProtocolError(f"task {task.id}: needs the weights of '{STUDENT}' and no others")
        settings, data = self._settings, self.data
        cases = label(self._network(models[STUDENT]), data.test)
        scores = score_cases(
            cases,
            settings.classes,
            data.test_corpus,
            carriers={device: out for device, out in CARRIERS.items() if {device, out} <= set(data.test_corpus)},
            seed=settings.seed,
        )
        return None, {"scores": told_scores(scores, self.least)}

    def _network(self, weights: Weights) -> nn.Module:
        model = build_model(self._settings.model, len(self._settings.classes) + 1, self._settings.size)
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise ProtocolError("the weights do not fit this job's network") from error
        return model.to(self._device).eval()


def label(model: nn.Module, split: Split, batch: int = BATCH) -> Iterator[ScoredImage]:
    """What a network marks on every image of a split of which something is known, beside the truth; one after another.

    Args:
        model: gives logits of (b, k, s, s) for images of (b, 1, s, s).
        split: images and masks.
        batch: images that go through the network together.
    """
    device = next(model.parameters()).device
    owners = zip(split.patients, split.spacing_mm, strict=True)
    for images, masks in split.batches(batch):
        with torch.inference_mode():
            confidence, labels = model(images.to(device)).softmax(1).max(1)
        for sure, found, said in zip(confidence.cpu().numpy(), labels.cpu().numpy(), masks.numpy(), strict=True):
            patient, spacing_mm = next(owners)
            # Of a union's pixels no class is scored, and where nothing is known nothing counts.
            unknown = said == NOTHING_KNOWN
            if unknown.all():
                continue
            found, truth = np.where(unknown, 0, found), said.clip(min=0)
            yield ScoredImage(found, truth, patient, spacing_mm, np.where(unknown, np.nan, sure.clip(0, 1)))
