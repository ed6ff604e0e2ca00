import pytest

from fedefm.exchange.events import SilosRated, StageEnded, StageStarted, TaskDone, TaskLost
from fedefm.exchange.messages import Lost, Stage, Task
from fedefm.flare.progress import from_line, payload, to_line, to_text

TASK = Task(Stage.OVERSEAS, 1, "host", "guest", steps=3)
EVENTS = [
    StageStarted(0, 2, Stage.LOCAL, 4),
    StageEnded(0, Stage.LOCAL, 1.5, 10),
    TaskDone(TASK, {"loss": 0.5, "val_dice": None}, 3),
    TaskLost(Lost.of(TASK, 'no "answer"')),
    SilosRated(3, {"host": 0.25, "guest": 1.0}),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: type(e).__name__)
def test_an_event_survives_its_log_line(event):
    line = f"\x1b[32m2026-01-01 INFO [identity=server] {to_line(event)}\x1b[0m trailing\n"
    assert "\n" not in to_line(event)
    assert from_line(line) == event


@pytest.mark.parametrize("line", ["", "fedefm-progress", "fedefm-progress {broken", "other text {}"])
def test_other_lines_hold_no_event(line):
    assert from_line(line) is None
    assert payload(line, "fedefm-progress ") is None


def test_a_rating_names_every_silo():
    assert to_text(EVENTS[4]) == "round 4, reputation: guest 1.00, host 0.25"


def test_a_loss_names_site_and_visitor():
    text = to_text(EVENTS[3])
    assert "host" in text
    assert "guest" in text
