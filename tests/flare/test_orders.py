"""Whose orders are obeyed: the plain rule over everything that a message may claim, and at FLARE's own end points."""

import json
import logging
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.fl_exception import UnsafeComponentError
from nvflare.fuel.f3.cellnet.core_cell import CoreCell
from nvflare.fuel.f3.endpoint import Endpoint
from nvflare.fuel.f3.message import Message
from nvflare.fuel.sec.audit import AuditService

from fedefm.flare.foundation_executor import FoundationExecutor
from fedefm.flare.orders import ACTION, SECONDS, Claim, OrderGuard, Tally, claim_of, wrong_at_hospital, wrong_at_server
from support.end_points import forgotten_after
from support.flare_site import job_context

JOB = "3b0f8c1e-0000-4000-8000-000000000000"
ADMIN = "_admin_9f0b5a52-64ff-4f6c-9a0c-0f3b7d4b7c11"
SERVERS = ("server", f"server.{JOB}")
SITES = ("hospital-a", f"hospital-a.{JOB}", "hospital-b", f"hospital-b.{JOB}", "server-2", "Server", " server")
NAMES = (*SERVERS, *SITES, ADMIN)
STREAM = "sm__STREAM"
# What a hospital's work needs, in FLARE's own words: of the main process, of a job, and of the parts of a stream.
MAIN = {("task", topic) for topic in ("challenge", "register", "heart_beat", "quit", "report_job_failure")}
MAIN |= {("cellnet.channel", "bye")}
WORK = {("server_command", "get_task"), ("server_command", "submit_update"), ("aux_communication", "fed.event")}
WORK |= {("aux_communication", f"__{topic}__") for topic in ("sync_runner", "job_heartbeat", "task_check")}
WORK |= {("download_service__", f"download_service__{topic}") for topic in ("download", "source_failure")}
ORDERS = {("server_command", topic) for topic in ("abort", "handle_dead_job", "bye", "app_command", "heartbeat")}
ORDERS |= {("server_parent_listener", topic) for topic in ("update_run_status", "heartbeat", "get_clients")}
ORDERS |= {("client_command", "abort"), ("admin", "train.abort"), ("_net_manager", "stop_cell"), ("hci_channel", "x")}
ORDERS |= {("cellnet.channel", "bulk"), ("aux_communication", "__end_run__"), ("credential_manager", "key_exchange")}

WHOLE_WORK = [("server", one) for one in sorted(MAIN)] + [(f"server.{JOB}", one) for one in sorted(WORK)]

SUBMIT = {("aux_communication", f"ObjectStreamer.{what}") for what in ("Request", "Abort")}

names = st.sampled_from(NAMES)
junk = st.one_of(st.none(), st.integers(), st.binary(), st.lists(st.text()), st.dictionaries(st.text(), st.text()))
purposes = st.sampled_from(sorted(MAIN | WORK | ORDERS | SUBMIT | {("return_only", "server_command:get_task")}))
streams = st.sampled_from([None, "sm__DATA", "sm__ACK", "sm__ERROR", "sm__CERT"])
kinds = st.sampled_from(["req", "reply", "return", "other"])


def claim(**more):
    plain = {"peer": "hospital-b", "origin": "hospital-b", "destination": "server", "kind": "req"}
    return Claim(**(plain | {"channel": "task", "topic": "heart_beat"} | more))


def may(peer, origin, destination, kind, purpose, name, certificate, stream, failed, error):
    """The same rule, written as a list of what passes."""
    if peer in SERVERS:
        return origin in SERVERS
    site = peer.partition(".")[0]
    if name is not None and name != (certificate or site):
        return False
    if origin.partition(".")[0] != site or destination not in SERVERS:
        return False
    to_main, about_itself = destination == "server", failed is not None and failed.partition(".")[0] == site
    if kind == "reply":
        return True
    if kind == "return":
        return about_itself
    if kind != "req" or stream == "sm__CERT":
        return False
    if stream in ("sm__ACK", "sm__ERROR"):
        return (failed is None or about_itself) and error != "BlobSizeError"
    if peer == ADMIN:
        people = {
            ("task", "challenge"),
            ("task", "register"),
            ("cellnet.channel", "bye"),
            ("hci_channel", "x"),
        } | SUBMIT
        people |= {purpose for purpose in WORK if purpose[0] == "download_service__"}
        return to_main and (purpose in people or purpose[0] == "return_only")
    return purpose[0] == "return_only" or purpose in (MAIN if to_main else WORK)


certificates = st.sampled_from([None, "hospital-a", "hospital-b"])
faults = st.tuples(streams, st.none() | names, st.sampled_from([None, "BlobSizeError", "x"]))


@given(names, names, names, kinds, purposes, st.tuples(st.none() | names, certificates), faults)
@settings(max_examples=500)
def test_every_combination_of_connection_name_and_purpose(peer, origin, to, kind, purpose, papers, fault):
    found = wrong_at_server(Claim(peer, origin, to, kind, *purpose, *papers, *fault))
    assert (found is None) is may(peer, origin, to, kind, purpose, *papers, *fault), found


def test_no_order_passes_from_any_hospital_in_any_name_to_anybody():
    for peer, name, to, order in product(SITES, NAMES, NAMES, sorted(ORDERS)):
        assert wrong_at_server(Claim(peer, name, to, "req", *order)), (peer, name, to, order)


def test_a_hospitals_work_passes_with_its_own_token_and_not_with_the_servers():
    for peer, (to, purpose) in product(("hospital-b", f"hospital-b.{JOB}"), WHOLE_WORK):
        assert wrong_at_server(Claim(peer, peer, to, "req", *purpose, "hospital-b", "hospital-b")) is None, purpose
        assert wrong_at_server(Claim(peer, peer, to, "req", *purpose, "server", "hospital-b")) == "in another's name"


def test_the_servers_own_orders_pass():
    for peer, name, to, order in product(SERVERS, SERVERS, NAMES, sorted(ORDERS)):
        assert wrong_at_server(Claim(peer, name, to, "req", *order)) is None, (peer, name, to, order)


@given(st.sampled_from(["peer", "origin", "destination", "kind", "channel", "topic", "stream"]), junk)
def test_what_is_no_text_never_passes_and_never_raises(field, value):
    if field != "stream" or value is not None:
        assert wrong_at_server(claim(**{field: value}))
    assert wrong_at_server(claim(destination=f"server.{JOB}.deeper"))


@given(names, names)
def test_a_hospital_listens_to_the_server_and_to_itself(peer, origin):
    mine = (*SERVERS, "hospital-a", f"hospital-a.{JOB}")
    assert (wrong_at_hospital(claim(peer=peer, origin=origin), "hospital-a") is None) is (
        peer in mine and origin in mine
    )


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 50)), max_size=80))
def test_however_many_are_refused_there_is_a_line_a_minute_and_none_is_left_uncounted(waits):
    tally, now, lines = Tally(), 0.0, []
    for name, wait in waits:
        now += wait
        lines += tally.note(name, "what", now)
    lines += tally.rest(now + SECONDS + 1)  # a sum of many waits is not exact
    for name in "abc":
        said = [int(line.split("refused, ")[1].split()[0]) for line in lines if line.startswith(f"{name}: ")]
        count = [one for one, _ in waits].count(name)
        assert said == sorted(set(said)) and len(said) <= now / SECONDS + 2
        assert said[-1:] == ([count] if count else [])
    assert tally.rest(now + 9 * SECONDS) == []


def obey(message, done):
    """What an end point does with a request that reaches it."""
    done.append(message)


@pytest.fixture
def cell(request):
    """FLARE's own end point, not connected to anything, with the component at work."""
    with forgotten_after(request.param):
        made = CoreCell(fqcn=request.param, root_url="tcp://localhost:1", secure=False, credentials={})
        made.done = []
        made.register_request_cb("server_command", "*", obey, made.done)
        made.register_request_cb("task", "report_job_failure", obey, made.done)
        yield made


def start(cell):
    fl_ctx, guard = FLContext(), OrderGuard()
    fl_ctx.set_prop(ReservedKey.ENGINE, Engine(cell), private=True, sticky=False)
    guard.handle_event(EventType.SYSTEM_BOOTSTRAP, fl_ctx)
    return guard, fl_ctx


class Engine:
    """As much of FLARE's engine as a component asks for."""

    def __init__(self, cell):
        self.core_cell = cell

    def get_cell(self):
        return self


def deliver(cell, peer, payload=b"", **claimed):
    head = {"msg_type": "req", "channel": "server_command", "topic": "abort", "destination": cell.get_fqcn()}
    head |= {"origin": peer} | claimed
    message = Message({f"cn__{key}": value for key, value in head.items()}, payload)
    cell.process_message(Endpoint(peer), None, CoreCell.APP_ID, message)


@pytest.mark.parametrize("cell", ["server", "hospital-a"], indirect=True)
def test_flares_end_point_obeys_the_server_and_nobody_else(cell, caplog, tmp_path):
    deliver(cell, "hospital-b")
    assert len(cell.done) == 1  # as FLARE has it
    guard, fl_ctx = start(cell)
    AuditService.initialize(str(tmp_path / "audit.log"))
    try:
        with caplog.at_level(logging.WARNING):
            for origin in ("hospital-b", "server", f"server.{JOB}", "hospital-c"):
                deliver(cell, "hospital-b", origin=origin, topic="abort\nforged")
            guard.handle_event(EventType.CLIENT_HEARTBEAT_PROCESSED, fl_ctx)
    finally:
        AuditService.close()
    assert len(cell.done) == 1
    deliver(cell, "server", origin=f"server.{JOB}")
    assert len(cell.done) == 2
    [line] = (tmp_path / "audit.log").read_text().splitlines()
    assert f"[U:hospital-b][A:{ACTION}]hospital-b: a message" in line and "abort\\nforged" in line
    assert [record.message for record in caplog.records if "hospital-b: a message" in record.message]


@pytest.mark.parametrize("cell", ["server"], indirect=True)
def test_it_comes_before_flares_own_check(cell):
    seen = []

    def look(message):
        seen.append(message)

    cell.add_incoming_filter("*", "*", look)
    start(cell)
    deliver(cell, "hospital-b")
    assert seen == []
    deliver(cell, "server")
    assert len(seen) == 1


@pytest.mark.parametrize("cell", ["server"], indirect=True)
def test_a_server_whose_messages_cannot_be_checked_does_not_start(cell):
    cell.add_incoming_filter("server_command", "*", lambda message: None)
    with pytest.raises(UnsafeComponentError, match="hides"):
        start(cell)
    with pytest.raises(UnsafeComponentError, match="cannot be checked"):
        start(None)


@pytest.mark.parametrize("cell", ["server"], indirect=True)
def test_a_hospitals_failure_is_not_that_of_the_job(cell):
    start(cell)
    for code, taken in ((0, 0), (1, 127), (9, 127), (101, 127), (102, 127), (True, 127), ("x", 127), (None, 127)):
        report = {"job_id": JOB, "code": code, "reason": "so it says"}
        deliver(cell, "hospital-b", report, channel="task", topic="report_job_failure")
        assert cell.done.pop().payload == report | {"code": taken}
    deliver(cell, "hospital-b", "no report", channel="task", topic="report_job_failure")
    assert cell.done.pop().payload == "no report"


def test_a_stream_is_what_it_carries_and_a_returned_message_what_it_was():
    carried = {"cn__channel": STREAM, "cn__topic": "sm__DATA", "sm__ch": "server_command", "sm__tp": "abort"}
    found = claim_of(Message(carried, None))
    assert (found.channel, found.topic, found.stream) == ("server_command", "abort", "sm__DATA")
    for before, failed in (({"cn__destination": "hospital-a"}, "hospital-a"), (["x"], None), (None, None)):
        back = {"cn__msg_type": "return", "cn__original_headers": before, "sm__fd": "another"}
        assert claim_of(Message(back, None)).failed == failed


@pytest.mark.parametrize("cell", [f"hospital-b.{JOB}"], indirect=True)
@pytest.mark.parametrize("secure", [True, False])
def test_a_hospitals_process_of_a_job_checks_as_well_where_sites_are_apart(cell, tmp_path, secure):
    fl_ctx = job_context(tmp_path, "foundation.json", {})
    fl_ctx.get_engine().cell = Engine(cell)
    fl_ctx.set_prop(FLContextKey.SECURE_MODE, secure, private=True, sticky=False)
    FoundationExecutor().handle_event(EventType.START_RUN, fl_ctx)
    deliver(cell, "server", origin=f"hospital-a.{JOB}")
    assert len(cell.done) == (0 if secure else 1)


def test_the_kits_of_server_and_hospital_have_it():
    from fedefm.resources import shipped

    for role in ("server", "hospital"):
        plain = json.loads((shipped("workspace_templates", role) / "local" / "resources.json").read_text())
        paths = [one["path"] for one in plain["components"]]
        assert f"{OrderGuard.__module__}.{OrderGuard.__name__}" in paths
