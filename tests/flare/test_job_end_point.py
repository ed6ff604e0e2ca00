"""One hospital's word does not end or spoil a job for all: with FLARE's own handlers and end points."""

import subprocess
import sys
import time
import uuid
from types import SimpleNamespace

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FedEventHeader, ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext, FLContextManager
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.fuel.f3.cellnet.core_cell import CoreCell
from nvflare.fuel.f3.endpoint import Endpoint
from nvflare.fuel.f3.message import Message
from nvflare.fuel.f3.streaming.blob_streamer import BlobStream
from nvflare.fuel.f3.streaming.byte_streamer import ByteStreamer, TxTask
from nvflare.private.aux_runner import AuxRunner
from nvflare.widgets.fed_event import FED_EVENT_TOPIC, ServerFedEventRunner

from fedefm.flare.job_end_point import FIGURES, guard_job, hear_receivers_alone, take_figures_alone
from support import garbled_job
from support.end_points import forgotten_after


class Engine:
    """As much of FLARE's engine as its runner of events asks for; keeps the events that are fired."""

    def __init__(self):
        self.aux, self.fired, self.signal = AuxRunner(self), [], Signal()
        self.register_aux_message_handler = self.aux.register_aux_message_handler

    def new_context(self):
        given = {ReservedKey.RUN_ABORT_SIGNAL: self.signal, ReservedKey.ENGINE: self}
        return FLContextManager(self, "server", "job", {}, given).new_context()

    def fire_event(self, event_type, fl_ctx):
        if "log" not in event_type or event_type == FIGURES:  # FLARE makes an event of each line of a log
            self.fired.append(event_type)


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "as FLARE has it"])
def test_of_a_hospitals_events_its_figures_alone_are_fired(guarded):
    engine, runner = Engine(), ServerFedEventRunner()
    runner.handle_event(EventType.START_RUN, engine.new_context())
    if guarded:
        take_figures_alone(engine.aux.topic_table)
    answers = [send(engine, event) for event in (EventType.FATAL_SYSTEM_ERROR, FIGURES, None)]
    end = time.monotonic() + 10
    while FIGURES not in engine.fired and time.monotonic() < end:
        time.sleep(0.01)
    engine.signal.trigger(True)
    assert engine.fired == ([] if guarded else [EventType.FATAL_SYSTEM_ERROR]) + [FIGURES]
    assert answers[1] == ReturnCode.OK and answers[2] == ReturnCode.BAD_REQUEST_DATA
    assert answers[0] == (ReturnCode.BAD_REQUEST_DATA if guarded else ReturnCode.OK)


def send(engine, event):
    """What a hospital gets that sends this event."""
    request = Shareable()
    request.set_peer_props({ReservedKey.IDENTITY_NAME: "hospital-b"})
    request.set_header(FedEventHeader.TIMESTAMP, 1.0)
    request.set_header(FedEventHeader.EVENT_ID, uuid.uuid4().hex)
    if event:
        request.set_header(FedEventHeader.EVENT_TYPE, event)
    return engine.aux.dispatch(FED_EVENT_TOPIC, request, engine.new_context()).get_return_code()


@pytest.mark.parametrize(("how", "code"), [("guarded", 0), ("bare", 1)])
def test_a_result_that_cannot_be_decoded_does_not_end_the_process(how, code):
    done = subprocess.run([sys.executable, garbled_job.__file__, how], capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    if how == "guarded":
        first, second = done.stdout.split()[:2]
        assert first != "ok" and second == "ok"


@pytest.fixture
def cell():
    """FLARE's own end point of a job, not connected to anything."""
    with forgotten_after("server.job"):
        made = CoreCell("server.job", "tcp://localhost:1", secure=False, credentials={}, parent_url="tcp://localhost:1")
        ByteStreamer(made)
        yield made


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "as FLARE has it"])
def test_a_stream_is_ended_by_its_receiver_alone(cell, guarded):
    if guarded:
        hear_receivers_alone(cell)
    task = TxTask(
        cell, 10, "channel", "topic", "hospital-a.job", None, BlobStream(b"weights", None), False, False, True
    )
    ByteStreamer.tx_task_map[task.sid] = task
    try:
        for origin, ended in (("hospital-b.job", not guarded), ("hospital-a.job", True)):
            head = {"cn__msg_type": "req", "cn__channel": "sm__STREAM", "cn__topic": "sm__ACK", "cn__origin": origin}
            head |= {"cn__destination": "server.job", "sm__id": task.sid, "sm__em": "no more", "cn__from": origin}
            cell.process_message(Endpoint("server"), None, CoreCell.APP_ID, Message(head, None))
            assert task.stopped is ended
    finally:
        ByteStreamer.tx_task_map.pop(task.sid, None)


def test_where_flare_is_not_as_expected_the_job_does_not_begin():
    fl_ctx = FLContext()
    run_manager = SimpleNamespace(aux_runner=AuxRunner(None))
    fl_ctx.set_prop(ReservedKey.ENGINE, SimpleNamespace(run_manager=run_manager), private=True, sticky=False)
    with pytest.raises(KeyError):
        guard_job(fl_ctx)
