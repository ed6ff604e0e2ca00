"""Assignments and results to FLARE's `Shareable` and back.

What a peer sends is refused with a `ProtocolError` unless every part has the expected type and the weights have the
hash that came with them. Who sent it is never read from here: the server derives the name from the connection.

A task names all its models by their hashes and brings those that its hospital does not hold. With every answer the
hospital says which hashes it holds, of those that it was asked about and of its own result; where it lacks some of a
task it answers with their names in place of a result.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.app_opt.pt.decomposers import TensorDecomposer
from nvflare.fuel.utils import fobs
from torch import Tensor

from fedefm.errors import FedefmError, ProtocolError
from fedefm.exchange.bounds import is_count, plain_copy
from fedefm.exchange.messages import Assignment, Result, Stage, Task
from fedefm.exchange.traffic import Parcel
from fedefm.flare.versions import differing, tell
from fedefm.maths.fingerprint import weights_sha256
from fedefm.maths.half import narrow
from fedefm.models.build import Weights
from fedefm.training.weights_store import WeightsStore, is_sha256
from fedefm.training.wire import TensorWire

TASK, MODELS, WEIGHTS, REPORT, IMAGES, TASK_ID = "task", "models", "weights", "report", "images", "task_id"
SHA256, WANTED, HELD, LACKS = "fedefm_sha256", "fedefm_wanted", "fedefm_held", "fedefm_lacks"
REASON = "fedefm_reason"
MAX_TENSORS = 100_000
MAX_HASHES = 10_000

REASONS = {
    "ConfigError": "its settings are wrong; its own log says which",
    "DataError": "its data cannot be used; its own log says why",
    "OptimalTransportError": "an optimal transport problem has no answer; its own log says why",
    "CheckpointError": "the weights do not fit its network; its own log says why",
    "TrustError": "its ledger of what leaves cannot be written, so nothing left; its own log says why",
    "VersionsError": "its versions are not those of the server; its own log says which",
    "ProtocolError": "it refused the task; its own log says why",
    "Error": "its work failed; its own log says why",
}


def register_decomposers() -> None:
    """Let FLARE carry torch tensors; both ends call it when the run starts."""
    fobs.register(TensorDecomposer)


class LacksError(ProtocolError):
    """The hospital holds no weights of hashes that a task names.

    Attributes:
        hashes: of what it lacks.
    """

    def __init__(self, task_id: str, hashes: Collection[str]):
        super().__init__(f"task {task_id}: {len(hashes)} of its models are not here; they are asked for")
        self.hashes = sorted(hashes)


def encode_assignment(
    assignment: Assignment[Weights],
    parcel: Parcel | None = None,
    wire: TensorWire | None = None,
    wanted: Iterable[str] = (),
) -> Shareable:
    """A task and those of its weights that travel, ready to send; float32 tensors are referred to, not copied.

    Args:
        assignment: the task with all its models.
        parcel: which of them travel; None for all.
        wire: how; None for as they are.
        wanted: hashes of all weights that the server may name again.
    """
    wire = wire or TensorWire()
    if parcel is None:
        digests = {name: wire.digest(weights) for name, weights in assignment.models.items()}
        parcel = Parcel(digests, frozenset(digests))
    message = Shareable()
    message[TASK] = assignment.task.to_dict()
    message[MODELS] = {name: wire.packed(w) for name, w in assignment.models.items() if name in parcel.packed}
    message.set_header(SHA256, dict(parcel.digests))
    message.set_header(WANTED, sorted(wanted))
    return tell(message)


def decode_assignment(
    message: Any, site: str, stage: str, store: WeightsStore | None = None, wire: TensorWire | None = None
) -> Assignment[Weights]:
    """What the server asks of `site` under the task name `stage`, with all its models.

    Args:
        message: of the server.
        site: the hospital.
        stage: FLARE's name of the task.
        store: weights that the hospital holds; gets those that came. None for none.
        wire: how weights travel; None for as they are.

    Raises:
        LacksError: the hospital holds some of the models no more.
        ProtocolError: ill-typed parts, altered weights, or a task that is meant for someone else.
    """
    wire = wire or TensorWire()
    task = Task.from_dict(_part(message, TASK))
    if task.site != site or task.stage.value != stage:
        raise ProtocolError(f"task {task.id}: meant for another hospital or stage than {site}, {stage}")
    models, digests = _part(message, MODELS), message.get_header(SHA256)
    if not isinstance(models, dict) or not isinstance(digests, dict) or not set(models) <= set(digests):
        raise ProtocolError(f"task {task.id}: models and their hashes do not go together")
    if len(digests) > MAX_HASHES or not all(map(is_sha256, digests.values())):
        raise ProtocolError(f"task {task.id}: a hash of its models is none")
    here: dict[str, Weights] = {
        digests[name]: _weights(value, digests[name], task.id) for name, value in models.items()
    }
    if store is not None:
        here = {sha256: store.put(sha256, weights) for sha256, weights in here.items()}
        here |= store.get_all(set(digests.values()).difference(here))
    if lacking := set(digests.values()).difference(here):
        raise LacksError(task.id, lacking)
    whole = {sha256: wire.unpacked(weights, sha256) for sha256, weights in here.items()}
    return Assignment(task, {_name(name): whole[sha256] for name, sha256 in digests.items()})


def wanted_of(message: Any) -> frozenset[str]:
    """Hashes of all weights that the server may name again, those of the task itself among them.

    Raises:
        ProtocolError: ill-typed.
    """
    wanted, digests = message.get_header(WANTED), message.get_header(SHA256)
    named = [*(wanted if isinstance(wanted, list) else ()), *(digests.values() if isinstance(digests, dict) else ())]
    if len(named) > 2 * MAX_HASHES or not all(map(is_sha256, named)):
        raise ProtocolError("message: the hashes of what the server wants kept are none")
    return frozenset(named)


def encode_lacks(error: LacksError) -> Shareable:
    """In place of a result: what the hospital must be sent for its task."""
    reply = make_reply(ReturnCode.OK)
    reply.set_header(LACKS, error.hashes)
    return tell(reply)


def lacks(reply: Any) -> bool:
    """Whether a reply asks for weights in place of bringing a result."""
    return isinstance(reply, Shareable) and reply.get_header(LACKS) is not None


def tell_held(reply: Shareable, held: Iterable[str]) -> Shareable:
    """Let a reply say what the hospital holds."""
    reply.set_header(HELD, sorted(held))
    return reply


def held_of(reply: Any) -> frozenset[str] | None:
    """What a hospital says that it holds; None where it keeps nothing, or says it in no form that is known."""
    held = reply.get_header(HELD) if isinstance(reply, Shareable) else None
    if not isinstance(held, list) or len(held) > 2 * MAX_HASHES or not all(map(is_sha256, held)):
        return None
    return frozenset(held)


def encode_result(result: Result[Weights], wire: TensorWire | None = None) -> Shareable:
    """A hospital's result, ready to send."""
    wire = wire or TensorWire()
    reply = make_reply(ReturnCode.OK)
    reply[TASK_ID], reply[IMAGES], reply[REPORT] = result.task_id, int(result.images), plain_copy(result.report)
    if result.weights is not None:
        reply[WEIGHTS] = wire.packed(result.weights)
        reply.set_header(SHA256, wire.digest(result.weights))
    return tell(reply)


def seal(reply: Shareable, weights: Mapping[str, Tensor]) -> Shareable:
    """Put weights in the place of those in a reply, in the same dtypes, with their hash.

    Raises:
        ProtocolError: a value is beyond half precision, where the others were of that.
    """
    before = reply[WEIGHTS]
    half = any(tensor.dtype == torch.float16 for tensor in before.values())
    reply[WEIGHTS] = narrow(weights) if half else dict(weights)
    reply.set_header(SHA256, weights_sha256(reply[WEIGHTS]))
    return reply


def decode_result(reply: Any, task: Task, wire: TensorWire | None = None) -> Result[Weights]:
    """The result that answers `task`; `wire` says how its weights travelled, None for as they are.

    Raises:
        ProtocolError: an ill-typed part, altered weights, or an answer to another task.
    """
    if _part(reply, TASK_ID) != task.id:
        raise ProtocolError(f"answered another task than {task.id}; a stale or misplaced result is refused")
    images = _part(reply, IMAGES)
    if not is_count(images):
        raise ProtocolError(f"{task.id}: the number of images is no whole number from 0")
    report = _report(reply)
    if reply.get(WEIGHTS) is None:
        return Result(task.id, None, report, images)
    sha256 = reply.get_header(SHA256)
    weights = (wire or TensorWire()).unpacked(_weights(reply[WEIGHTS], sha256, task.id), sha256)
    return Result(task.id, weights, report, images)


def encode_error(error: BaseException) -> Shareable:
    """Say only what kind of error stopped the work: paths, file names and identifiers stay in the site's own log."""
    reply = make_reply(ReturnCode.EXECUTION_EXCEPTION)
    reply.set_header(REASON, reason_class(error))
    return tell(reply)


def emptied(reply: Shareable, error: BaseException) -> None:
    """Make an error of a reply, in its place: nothing else of it leaves."""
    reply.clear()
    reply.update(encode_error(error))


def reason_class(error: BaseException) -> str:
    """The first known class of an error's own classes."""
    names = [c.__name__ for c in type(error).__mro__] if isinstance(error, FedefmError) else []
    return next((name for name in names if name in REASONS), "Error")


def reason_of(reply: Any) -> str | None:
    """Why a reply carries no result, in this package's own words; None if it claims to be one."""
    if not isinstance(reply, Shareable):
        return "sent something that is no reply"
    code, name = reply.get_return_code(), reply.get_header(REASON)
    ours = code == ReturnCode.OK or name is not None  # else FLARE made the reply
    if ours and (words := differing(reply, "it", "the server")):
        return words
    if code == ReturnCode.OK:
        return None
    if isinstance(name, str) and name in REASONS:
        return f"{name}: {REASONS[name]}"
    known = isinstance(code, str) and code in vars(ReturnCode).values()
    return f"FLARE return code {code}" if known else "an unknown return code"


def task_name(stage: Stage) -> str:
    """FLARE's name of the tasks of a stage, so that a site's filters can tell them apart."""
    return stage.value


def _report(reply: Shareable) -> dict[str, Any]:
    """A report of bounded size; what it may say of its stage is bounded where the result is accepted."""
    report = plain_copy(_part(reply, REPORT))
    if not isinstance(report, dict):
        raise ProtocolError("the report is no object with named figures")
    return report


def _part(message: Any, key: str) -> Any:
    if not isinstance(message, Shareable) or key not in message:
        raise ProtocolError(f"message: '{key}' is missing; both ends need the same fedefm version")
    return message[key]


def _name(value: Any) -> str:
    if type(value) is not str or not 0 < len(value) <= MAX_NAME:
        raise ProtocolError("message: a name is no short text")
    return value


MAX_NAME = 300


def _weights(value: Any, digest: Any, task_id: str) -> Weights:
    """Weights of a peer: named tensors, in memory, with the hash that they were sent under."""
    if not isinstance(value, dict) or not 0 < len(value) <= MAX_TENSORS:
        raise ProtocolError(f"{task_id}: weights are no named tensors")
    weights = {_name(name): _tensor(tensor, task_id) for name, tensor in value.items()}
    if type(digest) is not str or weights_sha256(weights) != digest:
        raise ProtocolError(f"{task_id}: weights were altered on their way (SHA-256 differs)")
    return weights


def _tensor(value: Any, task_id: str) -> Tensor:
    if type(value) is not Tensor or value.is_sparse or value.device.type != "cpu":
        raise ProtocolError(f"{task_id}: a weight is no plain tensor")
    return value
