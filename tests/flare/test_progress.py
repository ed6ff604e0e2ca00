import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedefm.commands.progress import Terminal
from fedefm.errors import FedefmError, QuorumError
from fedefm.exchange.events import CountsCapped, SilosRated, StageEnded, StageStarted, TaskDone, TaskLost
from fedefm.exchange.messages import Lost, Stage, Task
from fedefm.flare.log_lines import OneRecord
from fedefm.flare.progress import (
    FAILED,
    FINISHED,
    PROGRESS,
    failed_line,
    failure_in,
    finished_line,
    from_line,
    is_finished,
    to_line,
    to_text,
)
from fedefm.resources import shipped
from fedefm.simulation.process import Follower
from support.log_lines import logged

TASK = Task(Stage.OVERSEAS, 1, "host", "guest", steps=3)
EVENTS = [
    StageStarted(0, 2, Stage.LOCAL, 4),
    StageEnded(0, Stage.LOCAL, 1.5, 10),
    TaskDone(TASK, {"loss": 0.5, "val_dice": None}, 3),
    TaskLost(Lost.of(TASK, 'no "answer"')),
    SilosRated(3, {"host": 0.25, "guest": 1.0}),
    CountsCapped(2, ("guest", "host")),
]
HOSTILE = 'labels \'fedefm-finished {"folder": "/"}\' \x1b[31m\n' + logged(
    'fedefm-failed {"kind": "x", "message": "y"}'
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: type(e).__name__)
def test_an_event_survives_its_log_line(event):
    assert "\n" not in to_line(event)
    assert from_line(logged(to_line(event)) + "\n") == event
    assert to_text(event).isprintable()


@pytest.mark.parametrize(
    "line", ["", "fedefm-progress", "fedefm-progress {broken", "other text {}", "fedefm-progress 1"]
)
def test_other_lines_hold_no_event(line):
    for text in (line, logged(line)):
        assert from_line(text) is None and failure_in(text) is None and not is_finished(text)


def test_a_mark_in_a_text_says_nothing_wherever_the_text_comes():
    """A peer's text in our own records and in those of others, line ends and all."""
    lost = TaskLost(Lost.of(TASK, HOSTILE))
    messages = [f"[a=b]: {to_text(lost)}", f"[a=b]: {to_line(lost)}", f"[a=b]: it said {HOSTILE}", HOSTILE]
    names = ["FoundationController", "ServerRunner"]
    lines = [line for name in names for message in messages for line in written(message, name).splitlines()]
    assert len(lines) > len(names) * len(messages)
    assert not [line for line in lines if failure_in(line) or is_finished(line)]
    assert [from_line(line) for line in lines if from_line(line)] == [lost]
    for mark in (FAILED, FINISHED, PROGRESS):
        for line in (f"{mark}{{}}", logged(f"{mark}{{}}", name="ServerRunner"), logged(f"it said {mark}{{}}")):
            assert from_line(line) is None and failure_in(line) is None and not is_finished(line)


def written(message, name="FoundationController", role="simulator"):
    """A record as the policy file of a role has it written."""
    plain = json.loads((shipped("workspace_templates", role, "local") / "log_config.json").read_text())
    assert plain["formatters"]["plain"]["()"] == "fedefm.flare.log_lines.OneRecord"
    record = logging.LogRecord(f"x.{name}", logging.INFO, "", 0, message, (), None)
    return OneRecord(plain["formatters"]["plain"]["fmt"]).format(record)


def test_control_characters_of_a_peer_reach_no_terminal(capsys):
    lost = TaskLost(Lost.of(TASK, HOSTILE))
    Terminal()(lost)
    [line] = capsys.readouterr().out.splitlines()
    assert line.isprintable() and "\\x1b[31m" in line
    assert to_text(lost).isprintable() and lost.lost.reason.isprintable()


def test_a_failure_keeps_its_kind_if_it_is_one_of_ours():
    for kind, error in (("QuorumError", QuorumError), ("__doc__", FedefmError), ("Exception", FedefmError)):
        found = failure_in(logged(failed_line(kind, "too few\x1b")))
        assert type(found) is error and str(found) == "too few\\x1b"
    assert failure_in(logged(FAILED + '{"kind": ["QuorumError"], "message": 3}')) is None


def test_the_end_is_told_where_our_logger_puts_it():
    assert is_finished(logged(finished_line("/out"))) and not is_finished(logged("x " + finished_line("/out")))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(list(Stage)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
kinds = st.sampled_from([type(event).__name__ for event in EVENTS])
FIELDS = "round rounds stage tasks seconds bytes task report images lost reputation sites site "
fields = st.sampled_from(FIELDS.split())


@st.composite
def lines(draw):
    """Any text, or one of our own messages with any JSON value somewhere in it."""
    if draw(st.booleans()):
        return draw(st.text())
    mark, good = draw(st.sampled_from([PROGRESS, FAILED, FINISHED])), draw(st.sampled_from(EVENTS))
    plain = json.loads(to_line(good).removeprefix(PROGRESS)) if draw(st.booleans()) else {"event": draw(kinds)}
    plain |= draw(st.dictionaries(fields, values, max_size=4))
    text = mark + json.dumps(draw(st.just(plain) | values))
    return logged(text[: draw(st.integers(0, len(text)))] if draw(st.booleans()) else text)


@given(st.lists(lines(), max_size=5))
def test_no_line_at_all_stops_who_follows_a_run(texts):
    terminal = Terminal(quiet=True)
    follower = Follower(lambda event: (terminal(event), to_text(event), to_line(event)))
    for text in texts:
        follower(text)


def test_deep_json_is_no_event():
    assert from_line(logged(PROGRESS + "[" * 100_000)) is None
    assert from_line(logged(PROGRESS + '{"event": ' + "[" * 100_000)) is None


@pytest.mark.parametrize("role", ["simulator", "server", "hospital"])
def test_a_line_in_the_format_of_the_policy_file_is_read(role):
    assert from_line(written("[a=b, c=d]: " + to_line(EVENTS[0]), role=role)) == EVENTS[0]


def test_a_rating_names_every_silo():
    assert to_text(EVENTS[4]) == "round 4, reputation: guest 1.00, host 0.25"


def test_a_loss_names_site_and_visitor():
    text = to_text(EVENTS[3])
    assert "host" in text
    assert "guest" in text
