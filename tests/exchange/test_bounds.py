"""Whatever a hospital says, its job goes on: it is read here, or the hospital's result is lost with a reason."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedefm.errors import ProtocolError
from fedefm.exchange.bounds import (
    MAX_COUNT,
    MAX_DEPTH,
    MAX_NUMBER,
    MAX_TEXT,
    POOLED,
    REPORTS,
    Asked,
    fields_of,
    plain_copy,
    read_report,
)
from fedefm.exchange.events import Event, TaskDone, TaskLost
from fedefm.exchange.in_process import InProcessTransport
from fedefm.exchange.messages import BETWEEN, STUDENT, THETA, TRAINING, Assignment, Result, Stage, Task
from fedefm.exchange.record import Recorder
from fedefm.exchange.stages import Stages
from fedefm.exchange.state import Attendance
from fedefm.foundation.record import build_record
from fedefm.foundation.settings import Settings
from fedefm.metrics import table
from fedefm.metrics.suppression import LEAST_IMAGES
from fedefm.report.schema import validate_report
from fedefm.report.write import write_report
from support.markdown import code_spans
from support.scripted_network import Floats

CLASSES = ("catheter", "vessel")
METRICS = {"dice": (0.0, 1.0), "iou": (0.0, 1.0), "hd95_px": (0.0, 1e6)}
CELL = {"dice": 0.5, "iou": 0.3, "hd95_px": 4.5, "support": 7}
FIGURE = {"mean": 0.5, "low": None, "high": 1, "support": 7}
OVER_ALL = {
    "miou": FIGURE,
    "ece": {"mean": 0.1, "support": None},
    "as_in_authors_code": {
        "jaccard_with_background": 0.1,
        "jaccard_without_background": 0.2,
        "dice_over_channels": None,
        "support": 7,
    },
    "support": 7,
}
HIGH = {"dice": 0.2, "dice/vessel": None, "loss": 3.5}
GOOD: dict[Stage, dict[str, Any]] = {
    Stage.PREPARE: {
        "corpus": ["vessel"],
        "images": {"train": 12, "val": None, "test": 0},
        "quarantined": None,
        "metrics": ["loss", "dice", "iou/vessel"],
        "left_out": 3,
        "synthetic": True,
    },
    Stage.LOCAL: {"loss": 0.7, "val_dice": None, "rate_sum": 0.02},
    Stage.OVERSEAS: {"loss": None, "val_dice": 1.0, "rate_sum": 0.02},
    Stage.DISTIL: {
        "loss": 0.7,
        "val_dice": 0.5,
        "emd_similarity": {"b": 0.9},
        "agreement": {"vessel": {"b": 0.5}},
        "shares": {"b": 0.25},
        "dropped": ["b"],
    },
    Stage.ASSESS: {"agreement": {"vessel": 0.25}},
    Stage.LONE: {"scores": {"vessel": CELL}},
    Stage.EVALUATE: {"scores": {"theta": {"vessel": CELL}, "a": {}}},
    Stage.TUNE: {
        "loss": 0.5,
        "history": [{"round": 0, "loss": 0.5, "metrics": HIGH}],
        "best": {"round": 0, "value": None},
        "scores": {"start": {"vessel": CELL}, "tuned": {"vessel": dict.fromkeys(CELL)}},
    },
    Stage.VALIDATE: {"metrics": HIGH},
    Stage.MEASURE: {
        "scores": {"by_class": {"vessel": {**dict.fromkeys(METRICS, FIGURE), "support": 7}}, "all": OVER_ALL}
    },
    Stage.DESCRIBE: {
        "summary": {
            "least": 5,
            "corpus": ["vessel"],
            "test_corpus": [],
            "synthetic": False,
            "trains": True,
            "frames": {"train": 12, "val": None, "test": 0},
            "patients": 7,
            "cines": None,
            "unreadable": 0,
            "formats": {"DICOM": 19},
            "sizes": [{"columns": 512, "rows": 512, "files": 19}],
            "bits": [{"bits": 12, "files": 19}],
            "grey": {"dark": 0.1, "middle": 0.5, "bright": None},
            "spacing_mm": {"median": 0.2, "files": 19},
            "classes": {"vessel": {"train": 12, "val": None, "test": 0, "undecided": 0, "share": 0.03}},
            "others": 1,
            "respelled": 0,
        }
    },
    Stage.OFFER: {"compared": True},
    Stage.MATCH: {"compared": False},
    Stage.COMMON: {"compared": True, "common": None},
}


def task_of(stage: Stage) -> Task:
    if stage in BETWEEN:
        return Task(stage, 0, "a", "b")
    return Task(stage, 0, "a", "a", teachers={"b": ("vessel",)} if stage is Stage.DISTIL else {})


def asked(stage: Stage) -> Asked:
    models = {Stage.EVALUATE: (THETA, "a"), Stage.DISTIL: (STUDENT, "b")}.get(stage, (STUDENT,))
    return Asked(task_of(stage), models, CLASSES, METRICS)


@pytest.mark.parametrize("stage", REPORTS, ids=str)
def test_what_a_stage_brings_comes_through_unchanged(stage: Stage) -> None:
    assert read_report(GOOD[stage], asked(stage)) == GOOD[stage]


def paths(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(path for key, part in inner for path in paths(part, (*place, key)))]


def put(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = put(value[place[0]], place[1:], new)
    return copy


@pytest.mark.parametrize("stage", REPORTS, ids=str)
@pytest.mark.parametrize("odd", ["text", b"bytes", {"x": 1}, [[1]], 10**13, -(10**13), 1.5e300], ids=repr)
def test_at_no_place_may_anything_else_stand(stage: Stage, odd: Any) -> None:
    for place in paths(GOOD[stage]):
        with pytest.raises(ProtocolError, match=f"{stage} report"):
            read_report(put(GOOD[stage], place, odd), asked(stage))


@pytest.mark.parametrize("stage", REPORTS, ids=str)
def test_at_no_place_may_a_field_be_too_many(stage: Stage) -> None:
    """What a report may hold is exactly what is written down: nothing rides along."""
    found = [path for path in paths(GOOD[stage]) if isinstance(value_at(GOOD[stage], path), dict)]
    assert found
    for path in found:
        more = {**value_at(GOOD[stage], path), "NAME_First_1951.png": 1}
        with pytest.raises(ProtocolError, match=r"names 'NAME_First_1951.png', which nobody asked for"):
            read_report(put(GOOD[stage], path, more), asked(stage))


def value_at(value: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        value = value[key]
    return value


@pytest.mark.parametrize(
    ("stage", "report", "told"),
    {
        "lone without Dice": (Stage.LONE, {"scores": {"vessel": {"iou": 0.1, "hd95_px": 1, "support": 1}}}, "of 3"),
        "no support": (Stage.LONE, {"scores": {"vessel": dict.fromkeys(METRICS, 0)}}, "lacks 'support'"),
        "val_dice of 1e12": (Stage.LOCAL, {"loss": 1, "val_dice": 1e12}, r"val_dice is no number in \[0, 1\]"),
        "a class twice": (Stage.PREPARE, {"corpus": ["vessel"] * 2, "images": {}}, "corpus names one twice"),
        "no class": (Stage.PREPARE, {"corpus": [], "images": {}}, "corpus is no list of 1 to 2 names"),
        "a stranger": (Stage.PREPARE, {"corpus": ["\x1b[31mstent"], "images": {}}, r"names '\\x1b\[31mstent'"),
        "a fraction of an image": (Stage.PREPARE, {"corpus": ["vessel"], "images": {"train": 0.5}}, "images.train"),
        "fewer than none": (Stage.PREPARE, {"corpus": ["vessel"], "images": {"train": -1}}, "images.train"),
        "more than there are": (Stage.PREPARE, {"corpus": ["vessel"], "images": {"val": MAX_COUNT + 1}}, "val"),
        "yes as a count": (Stage.PREPARE, {"corpus": ["vessel"], "images": {"train": True}}, "images.train"),
        "no loss": (Stage.TUNE, {}, "lacks 'loss'"),
        "yes as a loss": (Stage.TUNE, {"loss": True}, "loss is no number"),
        "a model too few": (Stage.EVALUATE, {"scores": {"theta": {}}}, "scores names 1 of 2"),
        "a model nobody asked for": (Stage.EVALUATE, {"scores": {"theta": {}, "b": {}}}, "names 'b'"),
        "a teacher who did not teach": (
            Stage.DISTIL,
            {"loss": 1, "val_dice": 0, "emd_similarity": {"c": 1}},
            "names 'c'",
        ),
        "another tuned model": (Stage.TUNE, {"loss": 1, "scores": {"start": {}, "theta": {}}}, "names 'theta'"),
        "a metric of no class": (Stage.VALIDATE, {"metrics": {"dice/stent": 0.5}}, "names 'dice/stent'"),
        "a distance below 0": (Stage.VALIDATE, {"metrics": {"hd95_px": -1}}, "hd95_px is no number"),
        "no object": (Stage.MEASURE, ["scores"], "is no object"),
    }.values(),
)
def test_it_is_said_what_is_wrong(stage: Stage, report: Any, told: str) -> None:
    with pytest.raises(ProtocolError, match=told):
        read_report(report, asked(stage))


@pytest.mark.parametrize("text", ["x" * 500, "\x1b[2J", "two\nlines", "fedefm-finished {}\u202e", "\ud800"])
@pytest.mark.parametrize("stage", REPORTS, ids=str)
def test_of_a_peers_text_a_reason_repeats_little_and_only_printable_ascii(stage: Stage, text: str) -> None:
    for path in paths(GOOD[stage]):
        if isinstance(value_at(GOOD[stage], path), dict):
            with pytest.raises(ProtocolError) as caught:
                read_report(put(GOOD[stage], path, {text: 1}), asked(stage))
            assert str(caught.value).isascii() and str(caught.value).isprintable() and len(str(caught.value)) < 200


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_cannot_hold_become_none(number: float) -> None:
    assert read_report({"loss": number, "val_dice": 0.5}, asked(Stage.LOCAL)) == {"loss": None, "val_dice": 0.5}


# From a peer's mouth into the report

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
KEYS = (
    "corpus images train val test synthetic metrics loss val_dice scores theta a b "
    "vessel dice iou support agreement emd_similarity shares dropped history best round value all "
    "by_class mean "
)
keys = st.sampled_from(KEYS.split())
texts = st.sampled_from([*CLASSES, *POOLED, "stent"])
hostile = st.recursive(
    leaves | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys | st.text(max_size=3), inner, max_size=5),
    max_leaves=25,
)


@st.composite
def reports(draw: st.DrawFn, stage: Stage) -> Any:
    """Any JSON value, or a good report with any JSON value at one of its places."""
    if draw(st.booleans()):
        return draw(hostile)
    good = {**GOOD[stage], "scores": foundation_scores(stage)} if "scores" in GOOD[stage] else GOOD[stage]
    return put(good, draw(st.sampled_from(paths(good))), draw(hostile))


def foundation_scores(stage: Stage) -> Any:
    cell = {"dice": 0.5, "iou": 0.3, "support": 7}
    return {"theta": {"vessel": cell}, "a": {}} if stage is Stage.EVALUATE else {"vessel": cell}


class Liar:
    """A hospital that reports what it is told to, under any number of images."""

    def __init__(self, report: Any, images: int = 12):
        self.report, self.images = report, images

    def perform(self, assignment: Assignment[float]) -> Result[float]:
        weights = 1.0 if assignment.task.stage in TRAINING else None
        result: Result[float] = Result(assignment.task.id, weights, {}, self.images)
        object.__setattr__(result, "report", self.report)  # what a peer sends follows no type hint
        return result


FOUNDATION = (
    Stage.PREPARE,
    Stage.LOCAL,
    Stage.OVERSEAS,
    Stage.DISTIL,
    Stage.ASSESS,
    Stage.LONE,
    Stage.EVALUATE,
)


def record_of(stage: Stage, report: Any, images: Any = 12) -> tuple[list[Event], dict[str, Any]]:
    """One stage with a liar, heard by the recorder of a foundation job; what it told, and the run's report."""
    events: list[Event] = []
    recorder = Recorder(CLASSES)

    def listen(event: Event) -> None:
        events.append(event)
        recorder(event)

    for site in "ab":  # the others are honest
        good = {"corpus": ["vessel"], "images": {"train": 12}}
        recorder(TaskDone(Task(Stage.PREPARE, 0, site, site), good, 12))
    stages = Stages(InProcessTransport({"a": Liar(report, images)}), Floats(), CLASSES, listen, 1, 0, 1)
    models = dict.fromkeys(asked(stage).models, 1.0)
    stages.perform(Attendance(0), stage, [Assignment(task_of(stage), models)])
    record = build_record(Settings(classes=CLASSES), recorder.figures(), {"theta": {"path": "t", "sha256": "0"}})
    return events, record


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(FOUNDATION))
def test_no_value_at_all_kills_the_recorder_or_the_report(data: st.DataObject, stage: Stage) -> None:
    events, record = record_of(stage, data.draw(reports(stage)), data.draw(st.just(12) | st.integers()))
    validate_report(record)
    assert sum(isinstance(event, (TaskDone, TaskLost)) for event in events) == 1
    for event in events:
        assert not isinstance(event, TaskLost) or event.lost.reason.isprintable()


@pytest.mark.parametrize("stage", FOUNDATION, ids=str)
@pytest.mark.parametrize(
    "odd", [{"vessel": {"iou": 0.1}}, None, 1e12, ["vessel", "vessel"], {"a": {"vessel": {"support": None}}}], ids=repr
)
def test_a_lie_is_one_hospitals_loss_and_the_page_is_written(stage: Stage, odd: Any, tmp_path: Path) -> None:
    last = next(iter(GOOD[stage]))
    events, record = record_of(stage, {**GOOD[stage], last: odd})
    write_report(record, [], tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["lost"] == record["lost"]
    refused = [event.lost for event in events if isinstance(event, TaskLost)]
    assert [(lost.site, lost.stage) for lost in refused] == [("a", stage)] or odd is None
    assert all("report" in lost.reason for lost in refused)


def test_held_back_counts_and_scores_stand_in_the_page(tmp_path: Path) -> None:
    held = {"theta": {"vessel": dict.fromkeys(("dice", "iou", "support"))}, "a": {}}
    events, record = record_of(Stage.EVALUATE, {"scores": held})
    record["images"]["a"]["test"] = None
    assert not [event for event in events if isinstance(event, TaskLost)]
    page = write_report(record, [], tmp_path).read_text()
    assert record["dice"]["support"]["a"] == {"vessel": None} and "held back" in page and "test –" in page


def test_a_count_is_the_same_whenever_it_is_told() -> None:
    state = Attendance(0, images={"a": 12})
    for images, lost in ((12, []), (13, ["says 13 images here and 12 when it prepared"]), (10**6, ["says"])):
        events: list[Event] = []
        transport = InProcessTransport({"a": Liar({"loss": 1.0}, images)})
        stages = Stages(transport, Floats(), CLASSES, events.append, 1, 0, 1)
        stages.perform(state, Stage.TUNE, [Assignment(task_of(Stage.TUNE), {})])
        found = [event.lost.reason for event in events if isinstance(event, TaskLost)]
        assert len(found) == len(lost) and all(a.startswith(b) for a, b in zip(found, lost, strict=True))


@pytest.mark.parametrize("images", [-1, True, MAX_COUNT + 1])
def test_a_number_of_images_is_a_count(images: int) -> None:
    events, _ = record_of(Stage.LOCAL, GOOD[Stage.LOCAL], images)
    assert ["number of images" in event.lost.reason for event in events if isinstance(event, TaskLost)] == [True]


def test_what_prepare_reports_is_what_it_counts() -> None:
    report = {"corpus": ["vessel"], "images": {"train": 11}}
    events, _ = record_of(Stage.PREPARE, report, 12)
    assert [e.lost.reason for e in events if isinstance(e, TaskLost)] == ["says 12 images here and 11 when it prepared"]


# The bounds and the tables that they follow


def test_pooled_figures_are_those_of_the_table() -> None:
    assert dict(POOLED) == table.ranges(table.pooled())


def test_the_range_of_a_metric_is_that_of_its_row() -> None:
    for row in table.METRICS:
        assert row.range == ((0.0, 1.0) if row.is_share else (0.0, MAX_NUMBER))


def documented() -> dict[str, set[str]]:
    """Fields by stage in the table of the page for a hospital's IT."""
    page = (Path(__file__).parents[2] / "docs" / "hospital-it.md").read_text()
    rows = re.findall(r"^\| `([a-z]+)` \| (.*?) \|", page, re.MULTILINE)
    return {stage: set(code_spans(fields)) for stage, fields in rows}


def test_the_page_for_a_hospitals_it_lists_every_field_and_no_other() -> None:
    assert documented() == {str(stage): set(fields_of(stage)) for stage in REPORTS}


def test_the_page_names_the_least_that_holds_without_a_hospitals_word() -> None:
    page = (Path(__file__).parents[2] / "docs" / "hospital-it.md").read_text()
    assert f"`least_images` ({LEAST_IMAGES})" in page


# What a report of a stage without bounds may be

numbers = st.integers(-MAX_COUNT, MAX_COUNT) | st.floats(-MAX_COUNT, MAX_COUNT, allow_nan=False)
words = st.text(st.characters(categories=["L", "N"]), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_plain_values_come_through_unchanged(value: Any) -> None:
    try:
        assert plain_copy(value) == value
    except ProtocolError:
        assert depth(value) > MAX_DEPTH


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max((depth(v) for v in inner), default=0) if isinstance(value, (dict, list)) else 0


@pytest.mark.parametrize(
    "value",
    [b"bytes", object(), {1: 2}, "x" * (MAX_TEXT + 1), "two\nlines", [0] * 30_000, 2**70, 1.7e308, {"a": {1, 2}}],
    ids=["bytes", "object", "key", "long", "newline", "many", "huge", "greatest", "set"],
)
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(ProtocolError):
        plain_copy(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ProtocolError):
        plain_copy(value)
