"""Who is there, as the server's main process notes it and the process of a job reads it."""

from types import SimpleNamespace

import pytest
from nvflare.apis.client import Client
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import ReservedKey, RunProcessKey
from nvflare.apis.fl_context import FLContext
from nvflare.fuel.utils import fobs
from nvflare.private.fed.utils.fed_utils import fobs_initialize

from fedefm.exchange.messages import Loss
from fedefm.flare.presence import ASK_SECONDS, LEFT, WHY, Farewells, Left, Presence


class Engine:
    """As much of FLARE's server as is looked at, with one job of three hospitals."""

    def __init__(self, table, disabled=()):
        self.participants = {f"{name}-1": Client(name, f"{name}-1") for name in "abc"}
        self.run_processes = {"job": {RunProcessKey.PARTICIPANTS: self.participants}}
        clients = {token: Client(token[0], token) for token in table}
        manager = SimpleNamespace(get_clients=lambda: clients, is_client_disabled=lambda name: name in disabled)
        self.server = SimpleNamespace(client_manager=manager)

    def noted(self):
        return {client.name: client.get_prop(LEFT) for client in self.participants.values()}


def look(engine, moment):
    fl_ctx = FLContext()
    fl_ctx.set_prop(ReservedKey.ENGINE, engine, private=True, sticky=False)
    Farewells().handle_event(moment, fl_ctx)


@pytest.mark.parametrize(("moment", "why"), WHY.items())
def test_who_is_missing_is_noted_with_what_the_moment_says(moment, why):
    engine = Engine({"a-1", "c-1"})
    look(engine, moment)
    assert engine.noted() == {"a": None, "b": why.name, "c": None}


def test_what_was_noted_first_stays():
    engine = Engine({"a-1", "b-2", "c-1"})
    look(engine, EventType.CLIENT_QUIT)
    look(engine, EventType.CLIENT_REGISTER_PROCESSED)
    assert engine.noted()["b"] == Left.STOPPED.name


def test_a_removed_hospital_is_told_elsewhere_and_nobody_is_missed_otherwise():
    engine = Engine({"a-1"}, disabled={"b", "c"})
    for moment in (*WHY, EventType.SYSTEM_START):
        look(engine, moment)
    assert set(engine.noted().values()) == {None}
    engine = Engine({"a-1"})
    look(engine, EventType.SYSTEM_START)
    assert set(engine.noted().values()) == {None}


@pytest.fixture
def clients():
    fobs_initialize()
    made = {name: Client(name, f"{name}-1") for name in "ab"}
    made["a"].last_connect_time = 5.0
    return made


def over_the_wire(clients):
    return fobs.loads(fobs.dumps({client.token: client for client in clients.values()}))


def test_heartbeats_and_farewells_come_over_flares_wire_and_a_farewell_is_for_good(clients):
    answers = [over_the_wire(clients)]
    clients["b"].set_prop(LEFT, Left.STOPPED.name)
    answers += [over_the_wire(clients), None]
    now = [0.0]
    presence = Presence(lambda: answers.pop(0), lambda: now[0])
    for left in ({}, {"b": Left.STOPPED}, {"b": Left.STOPPED}):
        presence.refresh()
        now[0] += ASK_SECONDS
        assert presence.left == left
    assert presence.heartbeats["a"] == 5.0
    assert Left.STOPPED.loss is Loss.STOPPED and Left.SILENT.loss is Loss.DIED


def test_it_asks_seldom():
    asked, now = [], [0.0]
    presence = Presence(lambda: asked.append(1), lambda: now[0])
    for now[0] in (0.0, ASK_SECONDS / 2, ASK_SECONDS, ASK_SECONDS * 1.2):
        presence.refresh()
    assert len(asked) == 2
