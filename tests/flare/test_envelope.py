import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.fuel.utils import fobs

from fedefm.errors import DataError, ProtocolError
from fedefm.exchange.messages import STUDENT, Assignment, Result, Stage, Task
from fedefm.flare.envelope import (
    REASONS,
    SHA256,
    WEIGHTS,
    decode_assignment,
    decode_result,
    encode_assignment,
    encode_error,
    encode_result,
    reason_of,
    register_decomposers,
)
from fedefm.flare.versions import tell
from fedefm.maths.fingerprint import weights_sha256

TASK = Task(Stage.OVERSEAS, 1, "host", "guest", steps=3, progress=(0.25, 0.5), seed=7)
REPORT = {"loss": 0.5, "val_dice": 0.25}


def weights(seed=0):
    generator = torch.Generator().manual_seed(seed)
    floats = {f"layer.{k}": torch.randn(3, k + 1, generator=generator) for k in range(3)}
    return {**floats, "half": torch.ones(2, dtype=torch.float16), "count": torch.tensor(3), "empty": torch.zeros(0, 2)}


def over_the_wire(message):
    register_decomposers()
    return fobs.loads(fobs.dumps(message))


def same(a, b):
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a)


def test_an_assignment_comes_over_the_wire_bit_by_bit():
    sent = Assignment(TASK, {STUDENT: weights()})
    got = decode_assignment(over_the_wire(encode_assignment(sent)), "host", "overseas")
    assert got.task == sent.task
    assert same(got.models[STUDENT], sent.models[STUDENT])


def test_a_result_comes_over_the_wire_bit_by_bit():
    sent = Result(TASK.id, weights(), REPORT, 12)
    got = decode_result(over_the_wire(encode_result(sent)), TASK)
    assert (got.task_id, got.report, got.images) == (sent.task_id, sent.report, sent.images)
    assert same(got.weights, sent.weights)


def test_a_result_without_weights_stays_without():
    assert decode_result(encode_result(Result(TASK.id, None, REPORT)), TASK).weights is None


@pytest.mark.parametrize(("site", "stage"), [("guest", "overseas"), ("host", "local")])
def test_a_task_for_someone_else_is_refused(site, stage):
    with pytest.raises(ProtocolError, match="meant for"):
        decode_assignment(encode_assignment(Assignment(TASK, {})), site, stage)


def test_one_flipped_bit_is_refused_at_both_ends():
    out, back = (
        encode_assignment(Assignment(TASK, {STUDENT: weights()})),
        encode_result(Result(TASK.id, weights(), REPORT)),
    )
    for tensors in (out["models"][STUDENT], back[WEIGHTS]):
        tensors["layer.0"] = tensors["layer.0"].clone()
        tensors["layer.0"].view(torch.int32)[0, 0] ^= 1
    with pytest.raises(ProtocolError, match="altered"):
        decode_assignment(out, "host", "overseas")
    with pytest.raises(ProtocolError, match="altered"):
        decode_result(back, TASK)


def test_an_answer_to_another_task_is_refused():
    stale = Task(Stage.OVERSEAS, 0, "host", "guest", steps=3)
    with pytest.raises(ProtocolError, match="another task"):
        decode_result(encode_result(Result(stale.id, weights(), REPORT)), TASK)


class Stranger(torch.Tensor):
    pass


@pytest.mark.parametrize(
    "hostile",
    [
        {},
        [1, 2],
        "weights",
        {"a": [1.0]},
        {"a": None},
        {1: torch.zeros(1)},
        {"a" * 400: torch.zeros(1)},
        {"a": torch.zeros(2).to_sparse()},
        {"a": torch.zeros(2).as_subclass(Stranger)},
        {"a": torch.zeros(2, device="meta")},
    ],
    ids=str,
)
def test_weights_of_another_kind_are_refused(hostile):
    reply = encode_result(Result(TASK.id, weights(), REPORT))
    reply[WEIGHTS] = hostile
    with pytest.raises(ProtocolError):
        decode_result(reply, TASK)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["task_id", "weights", "report", "images", SHA256]), junk)
def test_junk_in_a_result_is_refused_or_harmless(key, value):
    reply = encode_result(Result(TASK.id, weights(), REPORT))
    if key == SHA256:
        reply.set_header(key, value)
    else:
        reply[key] = value
    try:
        got = decode_result(reply, TASK)
    except ProtocolError:
        return
    assert got.task_id == TASK.id
    assert got.weights is None or weights_sha256(got.weights) == weights_sha256(weights())


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["task", "models", SHA256, *TASK.to_dict()]), junk)
def test_junk_in_an_assignment_is_refused_or_harmless(key, value):
    message = encode_assignment(Assignment(TASK, {STUDENT: weights()}))
    if key == SHA256:
        message.set_header(key, value)
    elif key in message:
        message[key] = value
    else:
        message["task"] = {**message["task"], key: value}
    try:
        got = decode_assignment(message, "host", "overseas")
    except ProtocolError:
        return
    assert got.task.site == "host"


@pytest.mark.parametrize("message", [None, {}, Shareable(), "x"])
def test_a_message_without_its_parts_is_refused(message):
    with pytest.raises(ProtocolError):
        decode_assignment(message, "host", "overseas")
    with pytest.raises(ProtocolError):
        decode_result(message, TASK)


SECRET = "/data/hospital/patient-4711/frame.dcm"


@pytest.mark.parametrize("error", [DataError(f"{SECRET}: broken"), OSError(SECRET), ValueError(SECRET)])
def test_an_error_leaves_the_site_without_its_details(error):
    reply = over_the_wire(encode_error(error))
    assert "4711" not in repr(dict(reply))
    assert reply.get_return_code() == ReturnCode.EXECUTION_EXCEPTION
    assert "log" in reason_of(reply)


@given(st.text(max_size=30) | st.integers() | st.none())
def test_a_peers_own_words_never_become_a_reason(words):
    reply = make_reply(ReturnCode.EXECUTION_EXCEPTION)
    tell(reply).set_header("fedefm_reason", words)
    allowed = {f"{name}: {text}" for name, text in REASONS.items()} | {"FLARE return code EXECUTION_EXCEPTION"}
    assert reason_of(reply) in allowed


def test_an_unknown_return_code_is_no_success():
    assert reason_of(make_reply("SURE_OK")) == "an unknown return code"
    assert reason_of(encode_result(Result(TASK.id, None, REPORT))) is None
