"""The transport over FLARE's own task scheduling; hospitals are threads that speak to it as FLARE's server would."""

import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import numpy
import pytest
import torch
from nvflare.apis.client import Client
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.impl.wf_comm_server import WFCommServer
from nvflare.apis.shareable import make_reply
from nvflare.apis.signal import Signal
from nvflare.fuel.utils.fobs import dots
from nvflare.fuel.utils.fobs.decomposers.via_downloader import LazyDownloadRef

from fedefm.errors import DataError, ProtocolError, QuorumError, TrustError
from fedefm.exchange.coordinator import Coordinator
from fedefm.exchange.events import TaskLost
from fedefm.exchange.messages import STUDENT, Assignment, Loss, Lost, Result, Stage, Task
from fedefm.exchange.methods import FEDEFM
from fedefm.exchange.schedule import Schedule
from fedefm.exchange.topology import complete
from fedefm.exchange.traffic import Moved
from fedefm.flare import transport
from fedefm.flare.envelope import (
    HELD,
    MODELS,
    SHA256,
    WEIGHTS,
    LacksError,
    decode_assignment,
    encode_error,
    encode_lacks,
    encode_result,
    tell_held,
    wanted_of,
)
from fedefm.flare.presence import Left
from fedefm.flare.transport import FlareTransport, open_reply
from fedefm.training.ops import TensorOps
from fedefm.training.weights_store import FOLDER, WeightsStore

SITES = ("a", "b", "c")
CLASSES = ("vessel",)


class Cell:
    """As much of FLARE's end point as leaving tensors at their sender asks for; what it fetches, it cannot get."""

    def __init__(self):
        self.decode_pass_through_topics = set()
        self.byte_receiver = SimpleNamespace(registry=SimpleNamespace(reg={}))

    def get_fobs_context(self, props):
        raise ConnectionError("the sender is gone")


class Engine:
    """As much of FLARE's server engine as task scheduling asks for."""

    def __init__(self):
        self.cell = Cell()

    def get_cell(self):
        return self.cell

    @contextmanager
    def new_context(self):
        yield context(self)

    def get_clients(self):
        return [Client(site, site) for site in SITES]

    def fire_event(self, event_type, fl_ctx):
        assert event_type != EventType.FATAL_SYSTEM_ERROR, fl_ctx.get_prop(FLContextKey.EVENT_DATA)


def context(engine):
    fl_ctx = FLContext()
    fl_ctx.set_prop(ReservedKey.ENGINE, engine, private=True, sticky=False)
    fl_ctx.set_prop(FLContextKey.JOB_META, {"job_id": "job", "min_clients": 1}, private=True, sticky=False)
    return fl_ctx


class Server(Controller):
    def start_controller(self, fl_ctx): ...

    def stop_controller(self, fl_ctx): ...

    def control_flow(self, abort_signal, fl_ctx): ...

    def process_result_of_unknown_task(self, client, task_name, client_task_id, result, fl_ctx):
        self.late = getattr(self, "late", [])
        self.late.append((client.name, task_name))


class Federation:
    """Hospitals that ask for a task, work on it by `answer`, and hand the result in."""

    def __init__(self, answer, timeout=30.0, **watch):
        self.engine, self.server, self.comm = Engine(), Server(0.02), WFCommServer(0.02)
        self.server.set_communicator(self.comm)
        self.comm.initialize_run(context(self.engine))
        self.answer, self.over, self.abort = answer, threading.Event(), Signal()
        self.transport = FlareTransport(self.server, context(self.engine), self.abort, timeout, **watch)
        self.threads = [threading.Thread(target=self.hospital, args=(site,), daemon=True) for site in SITES]

    def hospital(self, site):
        client = Client(site, site)
        while not self.over.wait(0.01):
            name, task_id, data = self.comm.process_task_request(client, context(self.engine))
            if not name:
                continue
            reply = self.reply(site, name, data)
            if reply is not None:
                self.comm.process_submission(client, name, task_id, reply, context(self.engine))

    def reply(self, site, name, data):
        """A hospital without a store; the tests of stores have others."""
        return self.answer(decode_assignment(data, site, name))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        for thread in self.threads:
            thread.join()
        self.comm.finalize_run(context(self.engine))


def weights(value):
    return {"w": torch.full((3,), float(value))}


def report(stage, models=()):
    return {
        Stage.PREPARE: {"corpus": ["vessel"], "images": {"train": 1}},
        Stage.ASSESS: {"agreement": {"vessel": 0.5}},
        Stage.EVALUATE: {"scores": {name: {} for name in models}},
    }.get(stage, {"loss": 1.0, "val_dice": 0.5})


def work(assignment):
    """Add one to the student's weights, so that a mixed-up model shows."""
    task = assignment.task
    student = assignment.models.get(STUDENT)
    trained = None if student is None or task.stage in (Stage.ASSESS, Stage.EVALUATE) else {"w": student["w"] + 1}
    return encode_result(Result(task.id, trained, report(task.stage, assignment.models), 1))


def visits():
    pairs = [(i, j) for i in SITES for j in SITES if i != j]
    tasks = [Task(Stage.OVERSEAS, 0, host, visitor, steps=1) for visitor, host in pairs]
    return [Assignment(task, {STUDENT: weights(SITES.index(task.visitor) * 10)}) for task in tasks]


def outcomes(federation, assignments):
    with federation:
        return {task.id: outcome for task, outcome in federation.transport.perform(assignments)}


def test_every_visitor_comes_back_from_every_host_with_its_own_weights():
    got = outcomes(Federation(work), visits())
    assert len(got) == 6
    for assignment in visits():
        assert torch.equal(got[assignment.task.id].weights["w"], assignment.models[STUDENT]["w"] + 1)


def test_an_error_of_one_pair_is_named_and_costs_no_other():
    def answer(assignment):
        task = assignment.task
        return encode_error(DataError("/secret/file")) if (task.visitor, task.site) == ("a", "b") else work(assignment)

    got = outcomes(Federation(answer), visits())
    lost = [outcome for outcome in got.values() if isinstance(outcome, Lost)]
    assert [(x.visitor, x.site, x.stage) for x in lost] == [("a", "b", Stage.OVERSEAS)]
    assert lost[0].reason.startswith("DataError")
    assert "secret" not in lost[0].reason
    assert len(got) == 6


def test_a_hospital_that_hangs_loses_all_its_tasks_and_its_late_result_is_refused():
    freed = threading.Event()

    def answer(assignment):
        if assignment.task.site == "c":
            freed.wait()
        return work(assignment)

    federation = Federation(answer, timeout=0.5)
    with federation:
        begin = time.monotonic()
        got = {task.id: outcome for task, outcome in federation.transport.perform(visits())}
        assert time.monotonic() - begin < 5
        time.sleep(0.3)  # FLARE's monitor drops the ended tasks
        freed.set()
        time.sleep(0.3)
    lost = {(x.visitor, x.site): x.reason for x in got.values() if isinstance(x, Lost)}
    assert lost == dict.fromkeys([("a", "c"), ("b", "c")], "no answer for 0.5 s")
    assert ("c", "overseas") in federation.server.late


def test_a_hospital_that_never_starts_is_said_to_have_been_waited_for_as_long_as_it_was(monkeypatch):
    monkeypatch.setattr(transport, "START_SECONDS", 0.5)
    freed = threading.Event()

    def answer(assignment):
        freed.wait()
        return work(assignment)

    federation = Federation(answer, timeout=0.25)
    with federation:
        got = list(federation.transport.perform([Assignment(Task(Stage.PREPARE, 0, "a", "a"), {})]))
        freed.set()
    assert [outcome.reason for _, outcome in got] == ["no answer for 0.75 s"]


def test_seconds_in_which_the_server_itself_stood_still_are_not_held_against_anybody(monkeypatch):
    take = transport._take

    def slept(inbox):
        """As if the machine had been suspended for an hour each time that the server looks, and nobody had worked."""
        federation.now += 3600.0
        return take(inbox)

    monkeypatch.setattr(transport, "_take", slept)
    federation = Federation(work, timeout=30.0, clock=lambda: federation.now + time.monotonic())
    federation.now = 0.0
    assert not [x for x in outcomes(federation, visits()) if isinstance(x, Lost)]


def test_a_slow_host_with_a_queue_is_not_late():
    def answer(assignment):
        time.sleep(0.35 if assignment.task.site == "c" else 0)
        return work(assignment)

    got = outcomes(Federation(answer, timeout=0.6), visits())
    assert not [x for x in got.values() if isinstance(x, Lost)]


def test_a_dead_client_is_given_up_without_waiting_for_the_time_out():
    federation = Federation(lambda assignment: None if assignment.task.site == "b" else work(assignment), timeout=60.0)
    federation.comm._dead_client_grace = 0.1
    federation.comm.process_dead_client_report("b", context(federation.engine))
    begin = time.monotonic()
    got = outcomes(federation, visits())
    assert time.monotonic() - begin < 5
    assert {(x.site, x.reason) for x in got.values() if isinstance(x, Lost)} == {("b", "its job process died")}


def test_a_hospital_whose_process_is_gone_is_given_up_without_waiting():
    """In the simulator FLARE tells nobody; `dead` does."""
    dead = set()

    def answer(assignment):
        if assignment.task.site == "b":
            dead.add("b")
            return None
        return work(assignment)

    federation = Federation(answer, timeout=60.0, dead=lambda: frozenset(dead))
    begin = time.monotonic()
    got = outcomes(federation, visits())
    assert time.monotonic() - begin < 5
    assert {(x.site, x.reason, x.kind) for x in got.values() if isinstance(x, Lost)} == {
        ("b", "its job process died", Loss.DIED)
    }


def test_a_hospital_that_has_said_good_bye_is_given_up_without_waiting_and_the_reason_is_told():
    left = {}

    def answer(assignment):
        if assignment.task.site == "b":
            left["b"] = Left.STOPPED
            return None
        return work(assignment)

    federation = Federation(answer, timeout=60.0, left=lambda: left)
    begin = time.monotonic()
    got = outcomes(federation, visits())
    assert time.monotonic() - begin < 5
    assert {(x.site, x.reason, x.kind) for x in got.values() if isinstance(x, Lost)} == {
        ("b", Left.STOPPED.value, Loss.STOPPED)
    }


def test_it_says_who_is_at_what_and_how_many_bytes_went_to_and_fro():
    seen, go_on = [], threading.Event()

    def answer(assignment):
        if assignment.task.site == "b":
            go_on.wait(30)
        return work(assignment)

    federation = Federation(answer, timeout=60.0)
    with federation:
        for task, _ in federation.transport.perform(visits()):
            if task.site != "b" and not seen and len(federation.transport.heard("b").at_work.tasks) == 2:
                time.sleep(0.2)
                seen.append(federation.transport.heard("b").at_work)
                go_on.set()
        heard = {site: federation.transport.heard(site) for site in SITES}
    [work_of_b] = seen
    assert {task.site for task in work_of_b.tasks} == {"b"}
    assert 0 <= work_of_b.silent < work_of_b.patience <= 60.0
    assert not any(one.at_work for one in heard.values())
    total = federation.transport.moved.bytes
    assert sum(one.sent + one.received for one in heard.values()) == total > 0


def test_of_a_removed_hospital_no_result_is_taken_and_it_gets_no_task():
    removed, asked = set(), []

    def answer(assignment):
        asked.append(assignment.task.id)
        if assignment.task.site == "b":
            removed.add("b")  # while it works: its first result comes too late already
        return work(assignment)

    federation = Federation(answer, timeout=60.0, removed=lambda: frozenset(removed))
    with federation:
        begin = time.monotonic()
        got = {task.id: outcome for task, outcome in federation.transport.perform(visits())}
        assert time.monotonic() - begin < 5
        assert {(x.site, x.kind) for x in got.values() if isinstance(x, Lost)} == {("b", Loss.REMOVED)}
        assert len([x for x in got.values() if isinstance(x, Lost)]) == 2 and len(got) == 6
        asked.clear()
        again = {task.id: outcome for task, outcome in federation.transport.perform(visits())}
    assert {x.site for x in again.values() if isinstance(x, Lost)} == {"b"}
    assert len(asked) == 4 and not [task_id for task_id in asked if task_id.endswith("@b")]


def test_a_block_list_that_cannot_be_read_ends_the_run():
    def unreadable():
        raise TrustError("disabled_clients.json: cannot be read")

    with pytest.raises(TrustError):
        outcomes(Federation(work, removed=unreadable), visits())


def test_a_hospital_is_waited_for_by_its_own_pace_and_anew_after_it_was_waited_for_in_vain():
    stuck = threading.Event()

    def answer(assignment):
        if stuck.is_set() and assignment.task.site == "b":
            return None
        time.sleep(0.02)
        return work(assignment)

    federation = Federation(answer, timeout=60.0, floor=0.3)
    with federation:
        list(federation.transport.perform(visits()))
        stuck.set()
        begin = time.monotonic()
        lost = [x for _, x in federation.transport.perform(visits()) if isinstance(x, Lost)]
        assert time.monotonic() - begin < 30  # half of the time-out
        assert {(x.site, x.kind) for x in lost} == {("b", Loss.SILENT)}
        [patience] = {federation.transport._patience([a])["b"] for a in visits() if a.task.site == "b"}
        assert patience == 60.0


def test_tensors_that_can_no_longer_be_fetched_from_their_hospital_are_its_loss_alone():
    def answer(assignment):
        reply = work(assignment)
        if assignment.task.site == "b":
            reply[WEIGHTS] = {
                "w": LazyDownloadRef("b.job", "ref", "T0", dots.TENSOR_DOWNLOAD)
            }  # as FLARE leaves what it did not fetch
        return reply

    federation = Federation(answer)
    assert federation.engine.cell.decode_pass_through_topics == {("server_command", "submit_update")}
    got = outcomes(federation, visits())
    lost = [x for x in got.values() if isinstance(x, Lost)]
    assert {(x.visitor, x.site) for x in lost} == {("a", "b"), ("c", "b")}
    assert all("could not be fetched" in x.reason for x in lost)
    assert len(got) == 6


def test_an_aborted_run_ends_at_once_and_leaves_no_task_though_clients_asked_twice():
    federation = Federation(lambda assignment: None)
    with federation:
        threading.Timer(0.2, federation.abort.trigger, (True,)).start()
        with pytest.raises(ProtocolError, match="aborted"):
            list(federation.transport.perform(visits()))
        time.sleep(0.2)
        assert federation.server.get_num_standing_tasks() == 0  # FLARE's monitor lives


def test_no_weights_stay_with_a_finished_task():
    federation = Federation(work)
    sent = []
    send = federation.server.send
    federation.server.send = lambda task, **rest: (sent.append(task), send(task, **rest))
    outcomes(federation, visits())
    assert len(sent) == 6
    assert all(task.data is None and not any(ct.result for ct in task.client_tasks) for task in sent)


def test_what_was_decoded_stays_in_no_reply_either():
    replies = []
    federation = Federation(lambda assignment: replies.append(work(assignment)) or replies[-1])
    got = outcomes(federation, visits())
    assert len(replies) == 6 and not any(WEIGHTS in reply for reply in replies)
    assert all(result.weights is not None for result in got.values())


def test_memory_that_was_freed_while_a_hospital_works_goes_back(monkeypatch):
    times = []
    monkeypatch.setattr(transport, "TRIM_SECONDS", 0.1)
    monkeypatch.setattr(transport, "give_back", lambda size: times.append(time.monotonic()))
    outcomes(Federation(lambda assignment: time.sleep(1.0) or work(assignment)), visits()[:1])
    assert len(times) >= 3


def altered(assignment):
    reply = work(assignment)
    reply[WEIGHTS] = {"w": reply[WEIGHTS]["w"] * 2}
    return reply


def swapped(assignment):
    task = assignment.task
    other = Task(Stage.OVERSEAS, task.round, task.site, next(s for s in SITES if s not in (task.site, task.visitor)))
    return encode_result(Result(other.id, weights(1), report(task.stage), 1))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(altered, "altered"), (swapped, "another task"), (lambda a: make_reply("BAD_PEER_CONTEXT"), "return code")],
    ids=["altered", "swapped", "code"],
)
def test_a_reply_that_cannot_be_trusted_is_a_loss(answer, reason):
    got = outcomes(Federation(lambda a: answer(a) if a.task.site == "a" else work(a)), visits())
    lost = [x for x in got.values() if isinstance(x, Lost)]
    assert {x.site for x in lost} == {"a"}
    assert all(reason in x.reason for x in lost)


def array_id(assignment):
    reply = work(assignment)
    reply["task_id"] = numpy.zeros(2)
    return reply


def array_code(assignment):
    reply = work(assignment)
    reply.set_return_code(numpy.zeros(2))
    return reply


def no_headers(assignment):
    reply = work(assignment)
    reply["__headers__"] = 5
    return reply


@pytest.mark.parametrize("answer", [array_id, array_code, no_headers])
def test_a_reply_of_nonsense_is_its_senders_loss_alone(answer):
    def answer_of(assignment):
        return answer(assignment) if assignment.task.site == "a" else work(assignment)

    federation = Federation(answer_of, timeout=30.0)  # nobody waits for it, but on a machine that stands still
    got = outcomes(federation, visits())
    lost = [x for x in got.values() if isinstance(x, Lost)]
    assert {x.site for x in lost} == {"a"} and len(got) == 6


def test_a_reply_from_another_hospital_is_a_loss():
    task = visits()[0].task
    assert isinstance(open_reply(task, "c", work(visits()[0])), Lost)


def run(answer, min_sites, events):
    initial = weights(0)
    with Federation(answer) as federation:
        steps = {"local_steps": 1, "overseas_steps": 1, "distil_steps": 1}
        plan = Schedule(rounds=2, **steps, server_rate=1.0, order="parallel", min_sites=min_sites)
        topology, ops = complete(SITES), TensorOps(initial)
        return Coordinator(plan, FEDEFM, topology, CLASSES, federation.transport, ops, events.append).run(initial)


def test_rounds_go_on_without_a_hospital_that_refuses_visitors():
    def answer(assignment):
        refuses = assignment.task.stage is Stage.OVERSEAS and assignment.task.site == "b"
        return encode_error(ProtocolError("max_steps")) if refuses else work(assignment)

    events = []
    state = run(answer, 3, events)
    lost = {(e.lost.round, e.lost.visitor, e.lost.site) for e in events if isinstance(e, TaskLost)}
    assert lost == {(k, visitor, "b") for k in (0, 1) for visitor in ("a", "c")}
    assert torch.equal(state.theta["w"], weights(3)["w"])  # local, then distil twice


def test_too_few_hospitals_end_the_run():
    with pytest.raises(QuorumError):
        run(lambda a: encode_error(DataError("x")) if a.task.site != "a" else work(a), 2, [])


class Keeping(Federation):
    """Hospitals that keep what they have seen."""

    def __init__(self, folder, answer, **watch):
        super().__init__(answer, **watch)
        self.stores = {site: WeightsStore(folder / site / "job" / FOLDER, 10**6) for site in SITES}

    def reply(self, site, name, data):
        store, wanted = self.stores[site], wanted_of(data)
        store.keep(wanted)
        try:
            reply = self.answer(decode_assignment(data, site, name, store))
        except LacksError as error:
            return tell_held(encode_lacks(error), store.holds(wanted))
        if reply.get(WEIGHTS) is not None:
            store.put(reply.get_header(SHA256), reply[WEIGHTS])
        return tell_held(reply, store.holds({*wanted, reply.get_header(SHA256)}))


def answers(federation, assignments):
    """What hospitals answer, by their names."""
    return {task.site: outcome for task, outcome in federation.transport.perform(assignments)}


def prepared(federation):
    """Let hospitals say that they keep weights."""
    done = answers(federation, [Assignment(Task(Stage.PREPARE, 0, s, s), {}) for s in SITES])
    assert all(isinstance(outcome, Result) for outcome in done.values())


def assessing(held):
    """All hospitals look at these weights of `a`; what moved for it, and what they answered."""
    tasks = [Task(Stage.ASSESS, 0, host, "a") for host in ("b", "c")]
    return [Assignment(task, {STUDENT: held}) for task in tasks]


def test_what_a_hospital_holds_is_not_sent_again(tmp_path):
    with Keeping(tmp_path, work) as federation:
        prepared(federation)
        held, moved = weights(1), []
        for _ in range(2):
            done = answers(federation, assessing(held))
            assert all(isinstance(outcome, Result) for outcome in done.values())
            moved.append(federation.transport.moved)
        assert moved == [Moved(24, 24), Moved(24, 24)]


def test_a_hospital_that_lost_its_store_is_sent_once_more_what_it_lacks(tmp_path):
    with Keeping(tmp_path, work) as federation:
        prepared(federation)
        held = weights(1)
        list(federation.transport.perform(assessing(held)))
        federation.stores["b"].clear()
        done = answers(federation, assessing(held))
        assert [isinstance(outcome, Result) for outcome in done.values()] == [True, True]
        assert federation.transport.moved == Moved(36, 24)


def test_a_hospital_that_asks_for_ever_is_lost(tmp_path):
    class Greedy(Keeping):
        def reply(self, site, name, data):
            if site == "b" and name == "assess":
                return tell_held(encode_lacks(LacksError("any", ["0" * 64])), ["1" * 64])
            return super().reply(site, name, data)

    with Greedy(tmp_path, work) as federation:
        prepared(federation)
        held = weights(1)
        done = answers(federation, assessing(held))
        assert isinstance(done["c"], Result)
        assert isinstance(done["b"], Lost) and "asks again" in done["b"].reason


@pytest.mark.parametrize("said", ["text", [5], ["../x"], ["0" * 64] * 30_000, {"0" * 64: 1}], ids=type)
def test_what_a_hospital_says_that_it_holds_is_checked(tmp_path, said):
    def answer(assignment):
        return work(assignment)

    class Odd(Keeping):
        def reply(self, site, name, data):
            reply = super().reply(site, name, data)
            if site == "b":
                reply.set_header(HELD, said)
            return reply

    with Odd(tmp_path, answer) as federation:
        prepared(federation)
        held = weights(1)
        for _ in range(2):
            done = answers(federation, assessing(held))
            assert all(isinstance(outcome, Result) for outcome in done.values())
        assert federation.transport.moved == Moved(36, 24)  # as to one that keeps nothing


def test_theta_is_the_same_with_and_without_what_hospitals_keep(tmp_path):
    def theta(federation):
        initial = weights(0)
        with federation:
            steps = {"local_steps": 1, "overseas_steps": 1, "distil_steps": 1}
            plan = Schedule(rounds=2, **steps, min_sites=3)
            ops = TensorOps(initial)
            run = Coordinator(plan, FEDEFM, complete(SITES), CLASSES, federation.transport, ops, lambda event: None)
            return run.run(initial).theta["w"], federation.transport.moved

    (plain, all_), (kept, less) = theta(Federation(work)), theta(Keeping(tmp_path, work))
    assert torch.equal(plain, kept)
    assert less.bytes < all_.bytes and less.bytes <= 1.05 * less.least == 1.05 * all_.least


def evaluating(count):
    """`b` measures some models."""
    models = {f"m{k}": weights(k) for k in range(count)}
    return [Assignment(Task(Stage.EVALUATE, 0, "b", "b"), models)]


def in_parts(federation):
    """Let no message bring more than one model; the number of models in each that `b` got."""
    federation.transport.part, brought = 1, []
    reply = federation.reply

    def counting(site, name, data):
        brought.append(len(data[MODELS]))
        return reply(site, name, data)

    federation.reply = counting
    return brought


def test_models_of_a_task_come_one_after_another_where_a_message_takes_no_more(tmp_path):
    with Keeping(tmp_path, work) as federation:
        prepared(federation)
        brought = in_parts(federation)
        for _ in range(2):
            [done] = answers(federation, evaluating(3)).values()
            assert isinstance(done, Result)
        assert brought == [1, 1, 1, 0]
        assert federation.transport.moved == Moved(36, 36)


@pytest.mark.parametrize("says", ["all", "nothing new"])
def test_a_hospital_that_asks_for_more_and_gains_nothing_is_lost(tmp_path, says):
    class Liar(Keeping):
        def reply(self, site, name, data):
            if name != "evaluate":
                return super().reply(site, name, data)
            held = wanted_of(data) if says == "all" else ()
            return tell_held(encode_lacks(LacksError("any", ["0" * 64])), held)

    with Liar(tmp_path, work) as federation:
        prepared(federation)
        brought = in_parts(federation)
        [done] = answers(federation, evaluating(3)).values()
        assert isinstance(done, Lost) and "asks again" in done.reason
        assert brought == [1, 3]
