"""A hospital's side of a fine-tune job: one plain function a stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from fedefm.errors import ProtocolError
from fedefm.exchange.bounds import TUNED
from fedefm.exchange.messages import START, STUDENT, Stage, Task, task_seed
from fedefm.finetune.metric import Best, is_better
from fedefm.finetune.network import build_seeded, check_state, close_tuning, open_for_tuning
from fedefm.finetune.settings import FineTune
from fedefm.finetune.weights import TUNED_FILE, save_tuned
from fedefm.finetune.work import Work, figures, load_work, measure, reported
from fedefm.metrics.suppression import told_count, told_scores
from fedefm.models.build import Weights, take_weights
from fedefm.training import site
from fedefm.training.loop import optimise


class Tuner(site.Site):
    """One site at work. A result depends only on the assignment and on the site's own images.

    Args:
        name: the site.
        folder: its images and labels.
        settings: the job.
        device: `cpu`, `cuda` or `cuda:1`.
        threads: of torch; another number may give another last bit.
        cache: where its prepared images are kept; None for a folder within its own.
        keep: where a hospital that tunes alone puts its weights; None keeps none.
        on_step: is told every gradient step.
        least: see `Site`.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        settings: FineTune,
        *,
        device: str = "cpu",
        threads: int = 1,
        cache: Path | None = None,
        keep: Path | None = None,
        on_step: site.OnStep = lambda task, step, loss: None,
        least: int = 1,
    ):
        super().__init__(name, device=device, threads=threads, on_step=on_step, least=least)
        self._folder, self._settings, self._keep, self._cache = folder, settings, keep, cache
        self._work: Work | None = None

    @property
    def work(self) -> Work:
        """The site's images and labels, prepared when first wanted."""
        if self._work is None:
            self._work = load_work(self._folder, self._settings, cache=self._cache, threads=self._threads)
        return self._work

    @property
    def stages(self) -> Mapping[Stage, site.Work]:
        """What the hospital does in each stage."""
        return {
            Stage.PREPARE: self._prepare,
            Stage.TUNE: self._tune if self._settings.federated else self._alone,
            Stage.VALIDATE: self._validate,
            Stage.EVALUATE: self._evaluate,
        }

    @property
    def images(self) -> int:
        """Number of training images."""
        return len(self.work.splits["train"])

    def _prepare(self, task: Task, models: Any, should_stop: Any) -> tuple[None, dict[str, Any]]:
        work = self.work
        self.check_enough(len(work.splits["train"]))
        return None, {
            "corpus": list(work.corpus),
            "images": {name: told_count(len(split), self.least) for name, split in work.splits.items()},
            "metrics": reported(work, self._network(None), self.least),
            "synthetic": work.synthetic,
        }

    def _tune(
        self, task: Task, models: Mapping[str, Weights], should_stop: Callable[[], bool]
    ) -> tuple[Weights, dict[str, Any]]:
        """One round of a federated job."""
        model = self._network(_student(task, models))
        loss = self._optimise(model, task, should_stop)
        return take_weights(model), {"loss": loss}

    def _alone(
        self, task: Task, models: Mapping[str, Weights], should_stop: Callable[[], bool]
    ) -> tuple[None, dict[str, Any]]:
        """All rounds at home; the best weights stay here, only figures leave."""
        settings, start = self._settings, _student(task, models)
        model = self._network(start)
        history: list[dict[str, Any]] = []
        best, chosen = start, Best(0, None)
        for k in range(settings.rounds):
            loss = self._optimise(model, part(task, settings, k), should_stop)
            seen = measure(self.work, model, "val")
            found = figures(seen)  # what the hospital itself goes by; what it tells may be less
            history.append({"round": k, "loss": loss, "metrics": figures(seen, self.least)})
            if is_better(settings.metric, found.get(settings.metric), chosen):
                best, chosen = take_weights(model), Best(k, found.get(settings.metric))
            if settings.patience and k - chosen.round >= settings.patience:
                break
        if self._keep is not None:
            assurance = self.work.assure(self._network(best), self.least)
            save_tuned(settings, best, self._keep / TUNED_FILE, assurance)
        told = {"round": chosen.round, "value": history[chosen.round]["metrics"].get(settings.metric)}
        scores = self._evaluate(task, {START: start, TUNED: best}, should_stop)[1]["scores"]
        return None, {"loss": history[-1]["loss"], "history": history, "best": told, "scores": scores}

    def _validate(self, task: Task, models: Mapping[str, Weights], should_stop: Any) -> tuple[None, dict[str, Any]]:
        return None, {"metrics": figures(measure(self.work, self._network(_student(task, models)), "val"), self.least)}

    def _evaluate(self, task: Task, models: Mapping[str, Weights], should_stop: Any) -> tuple[None, dict[str, Any]]:
        """Measure every model on the site's test split."""
        return None, {
            "scores": {
                name: told_scores(self.work.scores(self._network(models[name]), "test"), self.least) for name in models
            }
        }

    def _optimise(self, model: nn.Module, task: Task, should_stop: Callable[[], bool]) -> float:
        """Gradient steps on the parameters that the mode opens."""
        groups = open_for_tuning(model, self._settings)
        try:
            return optimise(
                model,
                self.work.splits["train"],
                task,
                self._settings.optimisation,
                lambda batch: self.work.loss(model, batch),
                should_stop,
                lambda step, value: self._on_step(task, step, value),
                groups=groups,
            )
        finally:
            close_tuning(model)

    def _network(self, weights: Weights | None) -> nn.Module:
        """The job's network with these weights, or random ones."""
        model = build_seeded(self._settings)
        if weights is not None:
            check_state(model, weights)
        return model.to(self._device)


def part(task: Task, settings: FineTune, round_: int) -> Task:
    """A round's share of a task that holds all rounds."""
    return replace(
        task,
        round=round_,
        steps=settings.steps_of(round_),
        progress=(round_ / settings.rounds, (round_ + 1) / settings.rounds),
        seed=task_seed(settings.seed, Stage.TUNE, round_, task.site, task.site),
    )


def _student(task: Task, models: Mapping[str, Weights]) -> Weights:
    if set(models) != {STUDENT}:
        raise ProtocolError(f"task {task.id}: needs the weights of '{STUDENT}' and no others")
    return models[STUDENT]
