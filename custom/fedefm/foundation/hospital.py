"""Everything that a hospital does in the foundation job: one function for each stage, chosen by the task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fedefm.data.dataset import SiteData, load_site
from fedefm.data.frames import Split, joined
from fedefm.errors import ConfigError, ProtocolError
from fedefm.exchange.messages import STUDENT, Stage, Task
from fedefm.foundation.agreement import agreement
from fedefm.foundation.distil import DistillationObjective, Teacher
from fedefm.foundation.lessons import Answer, Ask, Lessons
from fedefm.foundation.settings import Settings
from fedefm.foundation.start import shares_of, start_of
from fedefm.foundation.terms import TERMS, LocalWork, Loss, alternating, correction_of, pooled, supervised
from fedefm.losses.corpus import corpus_channels
from fedefm.maths.fingerprint import FINGERPRINTS
from fedefm.metrics.suppression import rounded, told_count, told_scores
from fedefm.models.build import Weights, build_model, forward_with_features, take_weights
from fedefm.models.precision import computing_in
from fedefm.models.stored import opened
from fedefm.training.loop import draw_batches, optimise, rate_sum
from fedefm.training.scores import mean_dice, score
from fedefm.training.site import OnStep, Site, Work

TEACHER = "teacher"
"""The network that all teachers share, one after another."""


class Hospital(Site):
    """One site at work. A result depends only on the assignment and on the site's own images.

    Args:
        name: the site.
        folder: its images, masks and `dataset.json`.
        settings: the job.
        device: `cpu`, `cuda` or `cuda:1`.
        threads: of torch; with another number the last bit of a result may differ.
        cache: where its prepared images are kept; None for a folder within its own.
        on_step: is told every gradient step.
        others: images of the other hospitals, for pooled training in one process; None refuses it.
        least: see `Site`.
        networks: by role, built when first wanted; hospitals of one process that work in turn share them.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        settings: Settings,
        *,
        device: str = "cpu",
        threads: int = 1,
        cache: Path | None = None,
        on_step: OnStep = lambda task, step, loss: None,
        others: Callable[[], Sequence[SiteData]] | None = None,
        least: int = 1,
        networks: dict[str, nn.Module] | None = None,
    ):
        super().__init__(name, device=device, threads=threads, on_step=on_step, least=least)
        self._folder, self._settings, self._others, self._cache = folder, settings, others, cache
        self._data: SiteData | None = None
        self._networks: dict[str, nn.Module] = {} if networks is None else networks
        self._looked_at: dict[str, dict[str, float]] = {}

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
                unlabelled=True,
            )
        return self._data

    @property
    def stages(self) -> Mapping[Stage, Work]:
        """What the hospital does in each stage."""
        return {
            Stage.PREPARE: self._prepare,
            Stage.LOCAL: self._local,
            Stage.OVERSEAS: self._train,
            Stage.DISTIL: self._distil,
            Stage.ASSESS: self._assess,
            Stage.LONE: self._lone,
            Stage.EVALUATE: self._evaluate,
        }

    @property
    def images(self) -> int:
        """Number of training images."""
        return len(self.data.train)

    @property
    def wire(self) -> str:
        """As the job says."""
        return self._settings.wire

    @property
    def noise(self) -> float:
        """The job's own limit, which the server's doubt allows for."""
        return self._settings.noise

    def _prepare(self, task: Task, models: Any, should_stop: Any) -> tuple[None, dict[str, Any]]:
        data = self.data
        self.check_enough(len(data.train))
        counts = {"train": len(data.train), "val": len(data.val), "test": len(data.test)}
        return None, {
            "corpus": list(data.corpus),
            "images": {name: told_count(count, self.least) for name, count in counts.items()},
            "quarantined": told_count(data.quarantined, self.least),
            "synthetic": data.synthetic,
        }

    def _local(
        self, task: Task, models: Mapping[str, Weights], should_stop: Callable[[], bool]
    ) -> tuple[Weights, dict[str, Any]]:
        """Training of the silo's own weights, with what the job's method adds to it."""
        work = self._work(task, models)
        return self._fit(work, self._loss(work), should_stop, correction_of(work))

    def _train(
        self, task: Task, models: Mapping[str, Weights], should_stop: Callable[[], bool]
    ) -> tuple[Weights, dict[str, Any]]:
        """Supervised training of a visitor's weights (Eq. 1), or of a lone model's."""
        work = self._work(task, models)
        return self._fit(work, supervised(work), should_stop)

    def _work(self, task: Task, models: Mapping[str, Weights]) -> LocalWork:
        channels = corpus_channels(self.data.corpus, self._settings.classes)
        return LocalWork(self._network(STUDENT, models), task, models, channels, self._settings, self._network)

    def _loss(self, work: LocalWork) -> Loss:
        rules = self._settings.rules
        if not rules.pooled:
            return TERMS[rules.term](work)
        if self._others is None:
            raise ConfigError("pooled training needs all images in one process; run it with --in-process")
        return (alternating if rules.alternates else pooled)(work, self._others())

    def _fit(
        self,
        work: LocalWork,
        loss_of: Loss,
        should_stop: Callable[[], bool],
        correct: Callable[[float], None] | None = None,
    ) -> tuple[Weights, dict[str, Any]]:
        task, settings = work.task, self._settings.optimisation
        loss = optimise(
            work.model,
            self.data.train,
            task,
            settings,
            loss_of,
            should_stop,
            lambda step, value: self._on_step(task, step, value),
            correct=correct,
        )
        report = {"loss": loss, "val_dice": self._validate(work.model), "rate_sum": rate_sum(task, settings)}
        return _trained(work.model), report

    def _distil(
        self, task: Task, models: Mapping[str, Weights], should_stop: Callable[[], bool]
    ) -> tuple[Weights, dict[str, Any]]:
        """Distillation of the returned experts into the silo's own weights (Eq. 2, 11)."""
        if set(models) != {STUDENT, *task.teachers}:
            raise ProtocolError(f"task {task.id}: the experts that came along are not those that it names")
        distillation, classes = self._settings.distillation, self._settings.classes
        limit = self._settings.schedule.reputation_limit
        found = self._compare(models) if limit and self._can_judge(task) else {}
        shares = shares_of(task, found, limit)
        models = {**models, STUDENT: start_of(task, models, distillation, shares)}
        taught = self._taught(task)
        batches = draw_batches(taught, self._settings.optimisation, task.seed, self._device)
        lessons = Lessons(
            lambda host: self._teacher(models[host]),
            task.teachers,
            batches,
            task.steps * self._settings.optimisation.accumulate,
        )
        teachers = {
            host: Teacher(
                partial(lessons.answer, host),
                corpus_channels(corpus, classes),
                task.reputation.get(host, 1.0) * shares[host],
            )
            for host, corpus in task.teachers.items()
        }
        student = self._network(STUDENT, models)
        objective = DistillationObjective(student, teachers, corpus_channels(self.data.corpus, classes), distillation)
        loss = optimise(
            student,
            taught,
            task,
            self._settings.optimisation,
            objective,
            should_stop,
            lambda step, value: self._on_step(task, step, value),
        )
        report = {
            "loss": loss,
            "val_dice": self._validate(student),
            "emd_similarity": objective.similarities(),
            "agreement": found,
            "shares": shares,
            "dropped": objective.dropped,
        }
        return _trained(student), report

    def _taught(self, task: Task) -> Split:
        """The frames that teachers are asked of: those of training, and no more than as many without masks.

        So at least half of what is drawn has labels, however many frames have none. Which of these take part is drawn
        anew for every task.
        """
        train, extra = self.data.train, self.data.unlabelled
        if extra is None or not task.teachers:
            return train
        drawn = torch.randperm(len(extra), generator=torch.Generator().manual_seed(task.seed)).tolist()
        return joined(train, extra.only(sorted(drawn[: len(train)])))

    def _teacher(self, weights: Weights) -> Ask:
        """How to ask a teacher, until the next one is opened: all share one network."""
        network = self._network(TEACHER, {TEACHER: weights}).eval().requires_grad_(False)
        how = self._settings.optimisation

        def ask(images: torch.Tensor) -> Answer:
            with computing_in(how.precision, network, channels_last=how.channels_last):
                return forward_with_features(network, images, self._settings.distillation.feature_level)

        return ask

    def _can_judge(self, task: Task) -> bool:
        """Whether any teacher should know a class that the site annotates; else looking at the models tells nothing."""
        return any(set(corpus) & set(self.data.corpus) for corpus in task.teachers.values())

    def _compare(self, models: Mapping[str, Weights]) -> dict[str, dict[str, float]]:
        """How far every model agrees with the site's own labels, by class and model."""
        found = {name: self._agreement(models, name) for name in sorted(models)}
        return {c: {name: by_class[c] for name, by_class in found.items()} for c in found[STUDENT]}

    def _agreement(self, models: Mapping[str, Weights], name: str) -> dict[str, float]:
        """How far one model agrees with the site's own labels; the same weights are looked at once a run."""
        sha256 = FINGERPRINTS.of(models[name])
        if sha256 not in self._looked_at:
            model = self._network(STUDENT, {STUDENT: models[name]})
            train, corpus = self.data.train, self.data.corpus
            found = agreement(model, train, self._settings.classes, corpus, self.least)
            self._looked_at[sha256] = rounded(found)  # as it leaves: the server reckons with it too
        return self._looked_at[sha256]

    def _assess(self, task: Task, models: Mapping[str, Weights], should_stop: Any) -> tuple[None, dict[str, Any]]:
        """Hold another silo's weights against the site's own labels; only the agreement by class leaves."""
        return None, {"agreement": self._agreement(models, STUDENT)}

    def _lone(
        self, task: Task, models: Mapping[str, Weights], should_stop: Callable[[], bool]
    ) -> tuple[None, dict[str, Any]]:
        """A model of the hospital's own for comparison; only its scores leave."""
        self._train(task, models, should_stop)
        return None, {"scores": self._test(self._networks[STUDENT])}

    def _evaluate(self, task: Task, models: Mapping[str, Weights], should_stop: Any) -> tuple[None, dict[str, Any]]:
        """Measure every model on the site's test split."""
        return None, {"scores": {name: self._test(self._network(STUDENT, {STUDENT: models[name]})) for name in models}}

    def _network(self, role: str, models: Mapping[str, Weights]) -> nn.Module:
        """A network that holds the weights of a role; kept, because building one takes longer than loading it."""
        if role not in models:
            raise ProtocolError(f"no weights of '{role}' came with the task")
        if role not in self._networks:
            settings = self._settings
            with torch.random.fork_rng(devices=[]):  # building must not shift a first task's dropout
                model = build_model(settings.model, len(settings.classes) + 1, settings.size)
            self._networks[role] = model.to(self._device)
        try:
            self._networks[role].load_state_dict(opened(models[role]))
        except RuntimeError as error:
            raise ProtocolError(f"the weights of '{role}' do not fit this job's network") from error
        return self._networks[role]

    def _validate(self, model: nn.Module) -> float | None:
        return mean_dice(told_scores(score(model, self.data.val, self._settings.classes, self.data.corpus), self.least))

    def _test(self, model: nn.Module) -> dict[str, Any]:
        return told_scores(score(model, self.data.test, self._settings.classes, self.data.test_corpus), self.least)


def _trained(model: nn.Module) -> Weights:
    """A network's weights; its gradients go, as the network is kept for the next task."""
    model.zero_grad(set_to_none=True)
    return take_weights(model)
