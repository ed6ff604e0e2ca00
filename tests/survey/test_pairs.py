"""Two hospitals with the same pictures are found; nobody else learns a thing, and a liar costs its own counts alone."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fedefm.errors import FedefmError, ProtocolError
from fedefm.exchange.events import Event, TaskLost
from fedefm.exchange.in_process import InProcessTransport
from fedefm.exchange.messages import Assignment, Result, Stage, Task
from fedefm.exchange.stages import Stages
from fedefm.exchange.state import Attendance
from fedefm.report.survey import NOT_COMPARED, render_survey, same_rows
from fedefm.survey import points
from fedefm.survey.meeting import Meeting, told
from fedefm.survey.pairs import compare, meetings
from fedefm.survey.points import ANSWER, LEAST, MINE, OFFERED, THEIRS, PointOps, as_rows, as_tensor
from fedefm.survey.rounds import survey_in_process
from fedefm.survey.settings import Survey
from fedefm.trust.private_count import Party
from support.angiograms import angiogram, site
from support.page_reader import PageReader

SIZES = {"height": 160, "width": 192}
Weights = dict[str, torch.Tensor]


class Hospital:
    """A hospital with things in place of pictures."""

    def __init__(self, things: Sequence[int], *, compares: bool = True, least: int = 2):
        tokens = [[b"%d %d" % (thing, k) for k in range(1 + thing % 3)] for thing in things]
        self._meeting = Meeting(lambda: tokens, compares=compares, least=least)
        self.seen: list[Assignment[Any]] = []

    def perform(self, assignment: Assignment[Any]) -> Result[Any]:
        self.seen.append(assignment)
        work = getattr(self._meeting, assignment.task.stage.value)
        return Result(assignment.task.id, *work(assignment.task, assignment.models, lambda: False))


class Liar(Hospital):
    """One whose tensors are spoilt in a stage."""

    def __init__(self, stage: Stage, spoil: Callable[[Weights], Any]):
        super().__init__(range(6))
        self._stage, self._spoil = stage, spoil

    def perform(self, assignment: Assignment[Any]) -> Result[Any]:
        done = super().perform(assignment)
        if assignment.task.stage is not self._stage or done.weights is None:
            return done
        return Result(done.task_id, self._spoil(dict(done.weights)), done.report)


def compared(hospitals: dict[str, Hospital]) -> tuple[dict[str, int | str | None], list[str]]:
    """What each pair has in common, by `a+b`, and who was lost."""
    events: list[Event] = []
    stages = Stages(InProcessTransport(hospitals), PointOps(), ("wire",), events.append, rounds=1, seed=0, min_sites=1)
    found = compare(stages, Attendance(0), list(hospitals))
    counts = {"+".join(one["sites"]): one["common"] if one["compared"] else NOT_COMPARED for one in found}
    return counts, [event.lost.site for event in events if isinstance(event, TaskLost)]


def test_each_pair_is_counted_and_few_or_none_are_not_told() -> None:
    counts, lost = compared(
        {"a": Hospital(range(6)), "b": Hospital(range(3, 9)), "c": Hospital((0, 20, 21)), "d": Hospital((30, 31))}
    )
    assert counts == {"a+b": 3, "a+c": None, "a+d": None, "b+c": None, "b+d": None, "c+d": None}
    assert lost == []


def test_the_larger_least_of_the_two_holds_and_who_has_fewer_images_stays_away() -> None:
    counts, lost = compared(
        {"a": Hospital(range(6)), "b": Hospital(range(6), least=6), "c": Hospital(range(5), least=6)}
    )
    assert counts == {"a+b": 6, "a+c": NOT_COMPARED, "b+c": NOT_COMPARED} and lost == []
    assert compared({"a": Hospital(range(5)), "b": Hospital(range(6), least=6)})[0] == {"a+b": None}
    assert [told(count, 5) for count in (0, 4, 5)] == [None, None, 5]


def test_a_hospital_may_stay_away_and_the_others_do_not_notice() -> None:
    for off in "abc":
        hospitals = {name: Hospital(range(6), compares=name != off) for name in "abc"}
        counts, lost = compared(hospitals)
        assert counts == {pair: NOT_COMPARED if off in pair else 6 for pair in ("a+b", "a+c", "b+c")} and lost == []


def ones(weights: Weights, name: str) -> Weights:
    return weights | {name: torch.ones_like(weights[name])}


SPOILT: dict[str, tuple[Stage, Callable[[Weights], Any]]] = {
    "fractions": (Stage.OFFER, lambda w: {OFFERED: w[OFFERED].float()}),
    "a name": (Stage.OFFER, lambda w: w | {"QUIXOTE": w[OFFERED]}),
    "other sizes": (Stage.OFFER, lambda w: {OFFERED: w[OFFERED][..., :31]}),
    "no row": (Stage.OFFER, lambda w: {OFFERED: w[OFFERED][:0]}),
    "too many in a row": (Stage.OFFER, lambda w: {OFFERED: w[OFFERED].repeat(1, 65, 1)}),
    "fewer rows back": (Stage.MATCH, lambda w: w | {MINE: w[MINE][1:]}),
    "no table": (Stage.MATCH, lambda w: w | {THEIRS: w[THEIRS].ravel()}),
    "a least of 0": (Stage.MATCH, lambda w: w | {LEAST: torch.zeros(1, dtype=torch.int64)}),
    "weights with a count": (Stage.COMMON, lambda w: w),
}


@pytest.mark.parametrize(("stage", "spoil"), SPOILT.values(), ids=SPOILT)
def test_a_liar_is_lost_and_the_others_are_counted(stage: Stage, spoil: Callable[[Weights], Any]) -> None:
    """`b` offers to `c` and answers `a`; after its lie it is compared with nobody."""
    liar = Liar(stage, spoil)
    if stage is Stage.COMMON:
        honest = liar.perform
        liar.perform = lambda one: (  # type: ignore[method-assign]
            honest(one)
            if one.task.stage is not stage
            else Result(one.task.id, {"pixels": torch.ones(3)}, {"compared": True, "common": 3})
        )
    counts, lost = compared({"a": Hospital(range(6)), "b": liar, "c": Hospital(range(6))})
    assert counts["a+c"] == 6 and lost == ["b"]
    assert counts["a+b" if stage is Stage.MATCH else "b+c"] == NOT_COMPARED


@pytest.mark.parametrize(("stage", "name"), [(Stage.OFFER, OFFERED), (Stage.MATCH, MINE), (Stage.MATCH, THEIRS)])
def test_what_is_no_point_costs_the_pair_its_count_and_no_honest_hospital_anything(stage: Stage, name: str) -> None:
    """Points of small order have the right size; whoever multiplies them sees it, and is not to blame."""
    small = Liar(stage, lambda weights: weights | {name: torch.zeros_like(weights[name])})
    counts, lost = compared({"a": Hospital(range(6)), "b": small, "c": Hospital(range(6))})
    assert counts["a+c"] == 6 and lost == []
    assert NOT_COMPARED in (counts["a+b"], counts["b+c"]) or name == MINE


def test_a_count_beyond_all_bounds_is_refused() -> None:
    class Boaster(Hospital):
        def perform(self, assignment: Assignment[Any]) -> Result[Any]:
            done = super().perform(assignment)
            more = {"common": 10**9} if assignment.task.stage is Stage.COMMON else {}
            return Result(done.task_id, done.weights, {**done.report, **more})

    counts, lost = compared({"a": Boaster(range(6)), "b": Hospital(range(6))})
    assert counts == {"a+b": NOT_COMPARED} and lost == ["a"]


def test_nobody_is_answered_twice_so_that_guesses_cannot_be_tried_one_after_another() -> None:
    """Neither the server nor a peer may ask again; it would have to play another hospital each time."""
    a, b = Hospital(range(6)), Hospital(range(6))
    compared({"a": a, "b": b})
    for hospital in (a, b):
        for assignment in list(hospital.seen):
            with pytest.raises(ProtocolError, match="once"):
                hospital.perform(assignment)
    with pytest.raises(ProtocolError, match="once"):
        a.perform(Assignment(Task(Stage.COMMON, 0, "a", "stranger"), {}))


def test_what_the_server_carries_is_of_one_length_and_tells_no_guess() -> None:
    """A guess under no secret, or another's, meets nothing that travels; no row is longer than another."""
    a, b = Hospital(range(6)), Hospital(range(6))
    compared({"a": a, "b": b})
    offered = b.seen[0].models[OFFERED][OFFERED]
    answer = next(one.models[ANSWER] for one in a.seen if one.task.stage is Stage.COMMON)
    assert offered.shape == answer[MINE].shape == answer[THEIRS].shape == (6, 3, 32)
    carried = [{point for row in as_rows(table) for point in row} for table in (offered, answer[MINE], answer[THEIRS])]
    guesses = {
        point for row in Party().blind([[b"%d %d" % (k, j)] for k in range(6) for j in range(3)]) for point in row
    }
    assert not set.intersection(guesses, set.union(*carried))
    assert all(not one & other for k, one in enumerate(carried) for other in carried[k + 1 :])


def test_more_points_than_may_be_sent_are_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "MOST_BYTES", 6 * 3 * 32 - 1)
    counts, lost = compared({"a": Hospital(range(6)), "b": Hospital(range(2))})
    assert counts == {"a+b": NOT_COMPARED} and lost == ["a"]


def test_points_come_through_unchanged() -> None:
    rows = Party().blind([[b"a", b"b"], [b"c"], [b"d"]])
    assert as_rows(as_tensor(rows)) == rows and as_tensor(rows).shape == (3, 2, 32)


@pytest.mark.parametrize("count", range(9))
def test_each_two_meet_once_and_each_hospital_once_a_round(count: int) -> None:
    rounds = list(meetings([f"h{k}" for k in range(count)]))
    pairs = [pair for one in rounds for pair in one]
    assert len(set(pairs)) == len(pairs) == math.comb(count, 2) and all(a < b for a, b in pairs)
    for one in rounds:
        assert len({site for pair in one for site in pair}) == 2 * len(one)
    assert len(rounds) <= count


def test_copies_encoded_anew_and_of_half_the_size_stand_on_the_page(tmp_path: Path) -> None:
    north = site(tmp_path / "north", {f"n{k}": angiogram(k, **SIZES) for k in range(5)})
    south = site(tmp_path / "south", {f"s{k}": angiogram(50 + k, **SIZES) for k in range(3)})
    west = site(tmp_path / "west", {f"w{k}": angiogram(80 + k, **SIZES) for k in range(3)})
    for k in (1, 2):
        Image.fromarray(angiogram(k, **SIZES)[0]).save(south / "images" / f"jpeg{k}.jpg", quality=85)
    Image.fromarray(angiogram(3, **SIZES)[0]).reduce(2).save(south / "images" / "half.png")
    for stem in ("jpeg1", "jpeg2", "half"):
        shape = (80, 96) if stem == "half" else (160, 192)
        Image.fromarray(np.zeros(shape, np.uint8)).save(south / "masks" / f"{stem}.png")
    settings = Survey(("catheter", "guidewire"), least_images=2)
    record = survey_in_process(settings, {"north": north, "south": south, "west": west})
    assert record["lost"] == []
    assert {"+".join(one["sites"]): one["common"] for one in record["same_pictures"]} == {
        "north+south": 3,
        "north+west": None,
        "south+west": None,
    }
    assert "north and south both have 3 of the same pictures" in record["remarks"][0]["text"]
    assert dict(same_rows(record)) == {
        "north": ["·", "3", "< 2"],
        "south": ["3", "·", "< 2"],
        "west": ["< 2", "< 2", "·"],
    }
    reader = PageReader()
    reader.feed(render_survey(record))
    assert not reader.unbalanced and "Same pictures" in render_survey(record)


def test_a_job_may_leave_it_and_an_older_record_has_no_table(consortium: dict[str, Path]) -> None:
    record = survey_in_process(Survey(("vessel",), least_images=2, compare_pictures=False), consortium)
    assert record["same_pictures"] == [] and "offer" not in record["seconds"]
    del record["same_pictures"]
    assert "Same pictures" not in render_survey(record)


def test_a_folder_that_cannot_be_read_is_its_hospitals_loss() -> None:
    class Broken(Hospital):
        def perform(self, assignment: Assignment[Any]) -> Result[Any]:
            raise FedefmError("disk")

    counts, lost = compared({"a": Broken(()), "b": Hospital(range(6)), "c": Hospital(range(6))})
    assert counts == {"a+b": NOT_COMPARED, "a+c": NOT_COMPARED, "b+c": 6} and lost == ["a"]
