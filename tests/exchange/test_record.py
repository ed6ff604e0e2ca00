import json
import math
from typing import Any

import pytest

from fedefm.exchange.events import Event, StageEnded, StageStarted, TaskDone, TaskLost
from fedefm.exchange.messages import Lost, Stage, Task
from fedefm.exchange.record import Recorder, mean
from fedefm.exchange.schedule import Schedule
from fedefm.exchange.topology import complete
from support.scripted_network import play

CLASSES = ("catheter", "guidewire")


def cell(dice: float, support: int = 3) -> dict[str, float]:
    return {"dice": dice, "iou": dice / (2 - dice), "support": support}


def done(stage: Stage, round_: int, site: str, visitor: str | None = None, **report: Any) -> TaskDone:
    return TaskDone(Task(stage, round_, site, visitor or site), report, 7)


def events() -> list[Event]:
    """Two hospitals, one round; the second labels one class only in its test split."""
    theta_a, theta_b = {"catheter": cell(0.8), "guidewire": cell(0.4)}, {"catheter": cell(0.6, 5)}
    worse = {"catheter": cell(0.1)}
    return [
        done(Stage.PREPARE, 0, "b", corpus=["catheter"], images={"train": 5}),
        done(Stage.PREPARE, 0, "a", corpus=["catheter", "guidewire"], images={"train": 7}),
        StageEnded(0, Stage.PREPARE, 1.5, 0),
        StageStarted(0, 1, Stage.LOCAL, 2),
        done(Stage.LOCAL, 0, "a", loss=0.9, val_dice=0.2),
        done(Stage.LOCAL, 0, "b", loss=0.7, val_dice=None),
        StageEnded(0, Stage.LOCAL, 2.0, 100),
        done(Stage.OVERSEAS, 0, "b", "a", loss=0.6, val_dice=0.3),
        TaskLost(Lost("a", 0, Stage.OVERSEAS, "late", "b")),
        StageEnded(0, Stage.OVERSEAS, 4.0, 200),
        done(Stage.DISTIL, 0, "a", loss=0.5, val_dice=0.5, emd_similarity={"b": 0.9}),
        done(Stage.DISTIL, 0, "b", loss=0.4, val_dice=None, emd_similarity={}),
        StageEnded(0, Stage.DISTIL, 8.0, 300),
        done(Stage.EVALUATE, 1, "b", scores={"theta": theta_b, "a": worse}),
        done(Stage.EVALUATE, 1, "a", scores={"theta": theta_a, "a": worse}),
        StageEnded(1, Stage.EVALUATE, 16.0, 400),
        done(Stage.LONE, 0, "a", scores=worse),
    ]


@pytest.fixture
def figures() -> dict[str, Any]:
    recorder = Recorder(CLASSES)
    for event in events():
        recorder(event)
    return recorder.figures()


def test_hospitals_and_their_corpora(figures: dict[str, Any]) -> None:
    assert figures["sites"] == ["a", "b"] and figures["classes"] == ["catheter", "guidewire"]
    assert figures["corpora"] == {"a": ["catheter", "guidewire"], "b": ["catheter"]}
    assert figures["images"] == {"a": {"train": 7}, "b": {"train": 5}}


def test_the_mean_leaves_out_what_a_site_does_not_label(figures: dict[str, Any]) -> None:
    dice = figures["dice"]
    assert dice["by_site"] == {"a": {"catheter": 0.8, "guidewire": 0.4}, "b": {"catheter": 0.6, "guidewire": None}}
    assert dice["mean"] == dice["model_mean"]["theta"] == pytest.approx((0.8 + 0.4 + 0.6) / 3)
    assert dice["model_mean"]["a"] == pytest.approx(0.1)
    assert dice["support"] == {"a": {"catheter": 3, "guidewire": 3}, "b": {"catheter": 5}}
    assert figures["iou"]["by_site"]["a"]["catheter"] == pytest.approx(0.8 / 1.2)


def test_the_history_names_visitor_and_host(figures: dict[str, Any]) -> None:
    [first] = figures["history"]
    assert first["round"] == 0
    assert first["loss"] == {"local": {"a": 0.9, "b": 0.7}, "overseas": {"a@b": 0.6}, "distil": {"a": 0.5, "b": 0.4}}
    assert first["val_dice"] == {"a": 0.5, "b": None}
    assert figures["expert_dice"] == {"0": {"b": {"a": 0.3}}}
    assert figures["emd_similarity"] == {"0": {"b": {"a": 0.9}}}


def test_seconds_and_bytes_add_up(figures: dict[str, Any]) -> None:
    assert figures["seconds"]["total"] == 31.5 and figures["seconds"]["overseas"] == 4.0
    assert figures["bytes"]["total"] == 1000 and figures["bytes"]["distil"] == 300


def test_what_was_lost_and_what_lone_models_scored(figures: dict[str, Any]) -> None:
    assert figures["lost"] == [{"site": "a", "round": 0, "stage": "overseas", "reason": "late", "visitor": "b"}]
    assert figures["baselines"] == {"a": {"lone": {"catheter": 0.1}}}


def test_without_theta_the_mean_is_that_of_every_silo_at_home() -> None:
    recorder = Recorder(CLASSES)
    recorder(done(Stage.EVALUATE, 1, "a", scores={"a": {"catheter": cell(0.2)}, "b": {"catheter": cell(0.9)}}))
    recorder(done(Stage.EVALUATE, 1, "b", scores={"a": {"catheter": cell(0.9)}, "b": {"catheter": cell(0.6)}}))
    assert recorder.figures()["dice"]["mean"] == pytest.approx(0.4)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, None])
def test_what_is_no_number_becomes_none(odd: float | None) -> None:
    recorder = Recorder(CLASSES)
    recorder(done(Stage.OVERSEAS, 0, "b", "a", loss=odd, val_dice=odd))
    recorder(done(Stage.DISTIL, 0, "a", loss=odd, val_dice=odd, emd_similarity={"b": odd}))
    figures = json.loads(json.dumps(recorder.figures(), allow_nan=False))
    assert figures["history"][0]["loss"] == {"distil": {"a": None}, "overseas": {"a@b": None}}
    assert figures["emd_similarity"]["0"]["b"]["a"] is figures["expert_dice"]["0"]["b"]["a"] is None


def test_generated_images_are_named() -> None:
    recorder = Recorder(CLASSES)
    for site in "ba":
        recorder(done(Stage.PREPARE, 0, site, corpus=["catheter"], images={}, synthetic=site == "b"))
    assert recorder.figures()["synthetic"] == ["b"]


def test_figures_are_json_even_before_anything_happened(figures: dict[str, Any]) -> None:
    for value in (figures, Recorder(CLASSES).figures()):
        assert json.loads(json.dumps(value, allow_nan=False)) == value


def stage_of(event: Event) -> Stage:
    if isinstance(event, TaskDone):
        return event.task.stage
    return event.lost.stage if isinstance(event, TaskLost) else event.stage


def test_who_answers_first_within_a_stage_changes_no_bit(figures: dict[str, Any]) -> None:
    recorder, order = Recorder(CLASSES), list(Stage)
    backwards = events()[::-1]
    for event in sorted(backwards, key=lambda event: order.index(stage_of(event))):
        recorder(event)
    assert recorder.figures() == figures


def test_a_real_run_fills_every_round() -> None:
    run, recorder = play(Schedule(rounds=3), complete("ab")), Recorder(CLASSES)
    run.coordinator.run("start")
    for event in run.events:
        recorder(event)
    history = recorder.figures()["history"]
    assert [entry["round"] for entry in history] == [0, 1, 2]
    assert all(set(entry["loss"]["overseas"]) == {"a@b", "b@a"} for entry in history)


def test_reputations_stand_by_round_where_silos_were_compared() -> None:
    run, recorder = play(Schedule(rounds=2), complete("abc")), Recorder(CLASSES)
    run.coordinator.run("start")
    for event in run.events:
        recorder(event)
    assert recorder.figures()["reputation"] == {k: {"a": 1.0, "b": 1.0, "c": 1.0} for k in ("0", "1")}


@pytest.mark.parametrize(
    ("values", "expected"), [([], None), ([None, math.nan], None), ([0.5, None, 1.5, math.nan], 1)]
)
def test_mean_skips_what_is_no_number(values: list[Any], expected: float | None) -> None:
    assert mean(values) == expected


def test_whom_a_student_did_not_believe_in_full_is_kept_by_round() -> None:
    recorder = Recorder(CLASSES)
    taught = {"loss": 0.5, "val_dice": None, "shares": {"b": 0.25, "c": 1.0, "d": 1.0}, "dropped": ["d"]}
    recorder(done(Stage.DISTIL, 2, "a", **taught))
    recorder(done(Stage.DISTIL, 2, "b", loss=0.5, val_dice=None, shares={"a": 1.0}, dropped=[]))
    assert recorder.figures()["doubted"] == {"2": {"a": {"b": 0.25, "d": 0.0}}}
