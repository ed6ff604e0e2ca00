"""What is told of a hospital: from events and what is heard, by hand, and whatever a peer says."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedefm.errors import ConfigError
from fedefm.exchange.events import StageStarted, Standing, StandingChanged, TaskDone, TaskLost
from fedefm.exchange.messages import Loss, Lost, Stage, Task
from fedefm.exchange.status import SILENT_SECONDS, AtWork, Board, Condition, Heard, JobStatus
from fedefm.settings import build

SITES = ("a", "b", "c")


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def board(clock):
    return Board("job", SITES, clock)


def local(site, round_=0, steps=8):
    return Task(Stage.LOCAL, round_, site, site, steps=steps)


def of(status, site):
    [found] = [one for one in status.hospitals if one.site == site]
    return found


def one_after_another(board, clock, seconds, round_=0):
    """A local stage in which each hospital takes so many seconds."""
    for site, took in seconds.items():
        board(StageStarted(round_, 4, Stage.LOCAL, 1))
        clock.now += took
        board(TaskDone(local(site, round_)))


def test_who_works_and_who_waits_for_whom(board, clock):
    board(StageStarted(0, 4, Stage.OVERSEAS, 2))
    visit = Task(Stage.OVERSEAS, 0, "a", "b", steps=4)
    work = AtWork((visit, replace(visit, visitor="c")), silent=3.0, patience=120.0)
    status = board.status({"a": Heard(work, heartbeat=999.0, sent=5, received=7)})
    a, b = of(status, "a"), of(status, "b")
    assert (a.condition, a.stage, a.visitor, a.steps, a.queue) == (Condition.WORKING, Stage.OVERSEAS, "b", 4, 1)
    assert (a.given_up, a.heartbeat, a.sent, a.received) == (1117.0, 999.0, 5, 7)
    assert (b.condition, b.reason) == (Condition.WAITING, "for a")
    assert (status.round, status.rounds, status.stage, status.ends) == (0, 4, Stage.OVERSEAS, None)


def test_who_takes_much_longer_than_the_others_is_slow_while_it_works_and_afterwards(board, clock):
    one_after_another(board, clock, {"a": 4.0, "b": 4.0})
    board(StageStarted(0, 4, Stage.LOCAL, 1))
    early, late = (board.status({"c": Heard(AtWork((local("c"),), s, 120.0))}) for s in (8.0, 13.0))
    assert of(early, "c").condition is Condition.WORKING
    assert of(late, "c").condition is Condition.SLOW and "takes the others 4.0 s" in of(late, "c").reason
    clock.now += 40
    board(TaskDone(local("c")))
    assert of(board.status({}), "c").condition is Condition.SLOW
    assert of(board.status({}), "c").steps_per_second == pytest.approx(0.2)
    assert of(board.status({}), "a").condition is Condition.WAITING
    one_after_another(board, clock, {"c": 5.0}, round_=1)
    assert of(board.status({}), "c").condition is Condition.WAITING


def test_a_few_times_longer_is_not_slow_where_it_is_a_moment(board, clock):
    one_after_another(board, clock, {"a": 0.1, "b": 0.1, "c": 2.0})
    assert of(board.status({}), "c").condition is Condition.WAITING


@pytest.mark.parametrize(
    ("kind", "condition"),
    [(Loss.DIED, Condition.DIED), (Loss.STOPPED, Condition.STOPPED), (Loss.FAILED, Condition.FAILED)],
)
def test_a_loss_shows_with_its_reason_until_work_is_done(board, kind, condition):
    board(StageStarted(0, 4, Stage.LOCAL, 1))
    board(TaskLost(Lost.of(local("a"), "why", kind)))
    assert (of(board.status({}), "a").condition, of(board.status({}), "a").reason) == (condition, "why")
    assert of(board.status({}), "a").lost == 1
    board(TaskDone(local("a")))
    assert of(board.status({}), "a").condition is Condition.WAITING


def test_who_has_left_shows_at_once_and_is_at_no_work(board):
    work = AtWork((local("a"),), 1.0, 600.0)
    for stopped, condition in ((True, Condition.STOPPED), (False, Condition.DIED)):
        found = of(board.status({"a": Heard(work, left="its own people", stopped=stopped)}), "a")
        assert (found.condition, found.reason, found.stage, found.given_up) == (condition, "its own people", None, None)


def test_standings_and_silence(board, clock):
    board(StandingChanged(1, "a", Standing.AWAY, "it failed too often"))
    board(StandingChanged(1, "b", Standing.REMOVED, "the consortium removed it"))
    status = board.status({"c": Heard(heartbeat=clock.now - SILENT_SECONDS - 1)})
    conditions = [(one.condition, one.reason) for one in status.hospitals]
    assert conditions == [
        (Condition.AWAY, "it failed too often"),
        (Condition.REMOVED, "the consortium removed it"),
        (Condition.SILENT, "no heartbeat for 61 s"),
    ]


def test_the_end_of_the_rounds_follows_from_those_that_are_over(board, clock):
    for round_ in (0, 1):
        one_after_another(board, clock, {"a": 10.0, "b": 10.0}, round_)
    board(StageStarted(2, 4, Stage.LOCAL, 1))
    clock.now += 5
    assert board.status({}).ends == pytest.approx(clock.now + 20 + 15)
    board(StageStarted(4, 4, Stage.EVALUATE, 1))
    assert board.status({}).ends is None and board.status({}).round == 4


def test_steps_give_speed_and_end_of_the_work(board, clock):
    board(StageStarted(0, 1, Stage.LOCAL, 1))
    task = local("a", steps=100)
    for step in (10, 20):
        clock.now += 5
        board.steps("a", task.id, step, 100)
    found = of(board.status({"a": Heard(AtWork((task,), 10.0, 600.0))}), "a")
    assert (found.step, found.steps, found.steps_per_second) == (20, 100, 2.0)
    assert found.ends == pytest.approx(clock.now + 40)


def test_steps_that_cannot_be_are_left_out(board):
    task = local("a", steps=10)
    for site, step in (("a", 11), ("a", 0), ("a", -1), ("nobody", 5)):
        board.steps(site, task.id, step, 10)
    assert of(board.status({"a": Heard(AtWork((task,), 0.0, 1.0))}), "a").step == 0
    assert len(board.status({}).hospitals) == 3


def test_a_status_survives_its_json(board, clock):
    one_after_another(board, clock, {"a": 1.0})
    status = board.status({"b": Heard(AtWork((local("b"),), 0.0, 1.0), heartbeat=5.0)})
    assert build(JobStatus, json.loads(json.dumps(status.to_dict())), "status") == status


@given(st.text(max_size=1000))
def test_whatever_a_loss_says_is_one_short_visible_line(text):
    board = Board("job", SITES, lambda: 0.0)
    board(TaskLost(Lost.of(local("a"), text)))
    board.end = text
    status = board.status({})
    assert of(status, "a").reason.isprintable() and len(of(status, "a").reason) <= 400 and status.end.isprintable()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("site", "<b>"),
        ("site", "a" * 64),
        ("reason", "\x1b[31m"),
        ("reason", "x" * 401),
        ("condition", "fine"),
        ("sent", -1),
        ("heartbeat", float("nan")),
        ("steps_per_second", float("inf")),
        ("extra", 1),
    ],
)
def test_a_status_of_a_server_that_lies_is_refused(board, field, value):
    plain = board.status({}).to_dict()
    plain["hospitals"][0][field] = value
    with pytest.raises(ConfigError):
        build(JobStatus, plain, "status")
