"""A whole fine-tune job in one process, with real data and the smallest network."""

from pathlib import Path
from typing import Any

import pytest
import torch

from fedefm.data.dataset import load_site
from fedefm.data.synth import write_site
from fedefm.errors import ConfigError, QuorumError
from fedefm.exchange.events import CountsCapped, Event, TaskDone
from fedefm.exchange.in_process import InProcessTransport
from fedefm.exchange.messages import STUDENT, Assignment, Stage, Task
from fedefm.finetune.rounds import tune, tune_in_process
from fedefm.finetune.tuner import Tuner
from fedefm.finetune.weights import TUNED_FILE, start_weights, with_theta_named
from fedefm.maths.averaging import weighted_mean
from fedefm.models.checkpoint import load_weights
from support.thetas import CLASSES, job, theta_in


def same(a: Any, b: Any) -> bool:
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


def test_a_federated_round_is_the_mean_of_what_the_hospitals_tuned(consortium: dict[str, Path], tmp_path: Path) -> None:
    settings, theta = job(rounds=1), theta_in(tmp_path)
    tasks: dict[str, Task] = {}

    def listen(event: Event) -> None:
        if isinstance(event, TaskDone) and event.task.stage is Stage.TUNE:
            tasks[event.task.site] = event.task

    tuned = tune_in_process(settings, consortium, theta, listen)
    start = start_weights(theta, settings)
    alone = {
        site: Tuner(site, consortium[site], settings).perform(Assignment(task, {STUDENT: start}))
        for site, task in tasks.items()
    }
    weights = {site: result.weights for site, result in alone.items() if result.weights is not None}
    assert tuned.weights is not None and set(weights) == set(consortium)
    assert same(tuned.weights, weighted_mean(weights, {site: float(alone[site].images) for site in weights}))
    assert tuned.figures["sites"] == sorted(consortium)
    assert set(tuned.figures["scores"]["east"]) == {"start", "tuned"}


def test_the_same_seed_gives_the_same_weights(consortium: dict[str, Path], tmp_path: Path) -> None:
    theta, site = theta_in(tmp_path), {"north": consortium["north"]}
    a, b, c = (tune_in_process(job(seed=seed), site, theta).weights for seed in (0, 0, 1))
    assert a and b and c and same(a, b) and not same(a, c)


def test_tuning_learns(consortium: dict[str, Path], tmp_path: Path) -> None:
    """From a Theta that knows nothing: the loss of the hospital's own validation images falls."""
    settings = job(steps=60, rounds=3, metric="loss")
    figures = tune_in_process(settings, {"east": consortium["east"]}, theta_in(tmp_path)).figures
    losses = [entry["metrics"]["east"]["loss"] for entry in figures["history"]]
    assert losses[-1] < losses[0]
    assert figures["best"]["value"] == min(losses)


@pytest.mark.parametrize("metric", ["dice", "loss", "last", "iou/catheter"])
def test_the_best_round_is_that_of_the_named_metric(metric: str, consortium: dict[str, Path], tmp_path: Path) -> None:
    settings = job(steps=12, rounds=4, metric=metric)
    figures = tune_in_process(settings, {"east": consortium["east"]}, theta_in(tmp_path)).figures
    values = [entry["value"] for entry in figures["history"]]
    order = {"last": lambda: 3, "loss": lambda: values.index(min(values))}
    assert figures["best"]["round"] == order.get(metric, lambda: values.index(max(values)))()
    assert len(values) == 4


def test_patience_ends_a_job_that_gets_no_better(consortium: dict[str, Path], tmp_path: Path) -> None:
    settings = job(steps=8, rounds=8, patience=2, metric="loss", head_rate=1e-12, mode="head")
    figures = tune_in_process(settings, {"east": consortium["east"]}, theta_in(tmp_path)).figures
    assert 3 <= len(figures["history"]) < 8
    assert figures["history"][-1]["round"] == figures["best"]["round"] + 2


def test_alone_nothing_but_figures_leaves(consortium: dict[str, Path], tmp_path: Path) -> None:
    settings, events = job(federated=False), []
    tuned = tune_in_process(settings, consortium, theta_in(tmp_path), events.append, keep=tmp_path)
    assert tuned.weights is None
    for site in consortium:
        own = load_weights(tmp_path / site / TUNED_FILE)
        assert own.classes == CLASSES and not same(own.weights, theta_in(tmp_path).weights)
    task = next(e.task for e in events if isinstance(e, TaskDone) and e.task.stage is Stage.TUNE)
    start = start_weights(theta_in(tmp_path), settings)
    result = Tuner(task.site, consortium[task.site], settings).perform(Assignment(task, {STUDENT: start}))
    assert result.weights is None
    assert set(result.report) == {"loss", "history", "best", "scores"}


def test_alone_and_federated_agree_where_there_is_one_hospital(consortium: dict[str, Path], tmp_path: Path) -> None:
    """One hospital's average is its own weights: two codes, one result."""
    site, theta = {"north": consortium["north"]}, theta_in(tmp_path)
    together = tune_in_process(job(), site, theta).weights
    tune_in_process(job(federated=False), site, theta, keep=tmp_path)
    assert together is not None and same(together, load_weights(tmp_path / "north" / TUNED_FILE).weights)


def test_a_hospital_that_tunes_alone_measures_its_weights_on_its_own_images(tmp_path: Path) -> None:
    write_site(tmp_path / "north", "human", frames=44, size=64, seed=0, corpus=CLASSES)
    tune_in_process(job(federated=False), {"north": tmp_path / "north"}, theta_in(tmp_path), keep=tmp_path / "out")
    found = load_weights(tmp_path / "out" / "north" / TUNED_FILE).assurance
    data = load_site(tmp_path / "north", CLASSES, job().size)
    assert [(look.images, look.validated) for look in found.looks] == [(len(data.train), len(data.val))]


@pytest.mark.parametrize("mode", ["head", "lora"])
def test_the_frozen_part_is_thetas_after_a_federated_job(
    mode: str, consortium: dict[str, Path], tmp_path: Path
) -> None:
    theta = theta_in(tmp_path)
    weights = tune_in_process(job(mode=mode, rank=2), consortium, theta).weights
    assert weights is not None
    changed = {name for name in weights if not torch.equal(weights[name], theta.weights[name])}
    head = {name for name in weights if name.startswith("segmentation_head.")}
    assert head <= changed
    assert changed == head if mode == "head" else not [n for n in changed - head if not n.endswith("weight")]


def test_classification_by_what_the_masks_hold(consortium: dict[str, Path], tmp_path: Path) -> None:
    settings = job(task="classification", metric="f1")
    tuned = tune_in_process(settings, consortium, theta_in(tmp_path))
    assert tuned.weights is not None and "head.weight" in tuned.weights
    assert {"auc", "f1", "support"} == set(tuned.figures["scores"]["east"]["tuned"]["catheter"])


def test_a_metric_that_no_hospital_reports_ends_the_job_before_a_step(
    consortium: dict[str, Path], tmp_path: Path
) -> None:
    events: list[Event] = []
    with pytest.raises(ConfigError, match="'dice/vessel' is never reported"):
        tune_in_process(job(metric="dice/vessel"), {"east": consortium["east"]}, theta_in(tmp_path), events.append)
    assert {e.task.stage for e in events if isinstance(e, TaskDone)} == {Stage.PREPARE}


def test_too_few_hospitals_give_no_weights(consortium: dict[str, Path], tmp_path: Path) -> None:
    broken = {**consortium, "broken": tmp_path / "nothing"}
    assert "broken" not in tune_in_process(job(min_sites=3), broken, theta_in(tmp_path)).figures["sites"]
    with pytest.raises(QuorumError, match="3 hospitals took part, at least 4"):
        tune_in_process(job(min_sites=4), broken, theta_in(tmp_path))


def test_a_lie_about_images_makes_nobodys_weights_the_result(consortium: dict[str, Path], tmp_path: Path) -> None:
    """Its number is cut at twice the median, and it is named; the average is the one with that weight."""
    settings, theta = job(rounds=1, steps=2), theta_in(tmp_path)
    start = start_weights(theta, settings)

    class Liar(Tuner):
        images = property(lambda self: 10**6)  # type: ignore[assignment]

        def _prepare(self, *args: Any) -> Any:
            weights, report = super()._prepare(*args)
            return weights, {**report, "images": {**report["images"], "train": 10**6}}

    tuners = {name: (Liar if name == "west" else Tuner)(name, consortium[name], settings) for name in consortium}
    events: list[Event] = []
    figures = tune(with_theta_named(settings, theta), sorted(tuners), start, InProcessTransport(tuners), events.append)
    assert figures.figures["history"][0]["capped"] == ["west"]
    assert [event.sites for event in events if isinstance(event, CountsCapped)] == [("west",)]
    trained = {
        e.task.site: tuners[e.task.site].perform(Assignment(e.task, {STUDENT: start})).weights
        for e in events
        if isinstance(e, TaskDone) and e.task.stage is Stage.TUNE
    }
    honest = {name: len(tuners[name].work.splits["train"]) for name in ("east", "north")}
    weights = {**{k: float(v) for k, v in honest.items()}, "west": 2.0 * max(honest.values())}
    assert figures.weights is not None and same(figures.weights, weighted_mean(trained, weights))
