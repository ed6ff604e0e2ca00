"""Assignments and results to FLARE's `Shareable` and back.

What a peer sends is refused with a `ProtocolError` unless every part has the expected type and the weights have the
hash that came with them. Who sent it is never read from here: the server derives the name from the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.app_opt.pt.decomposers import TensorDecomposer
from nvflare.fuel.utils import fobs
from torch import Tensor

from fedefm.errors import FedefmError, ProtocolError
from fedefm.exchange.bounds import is_count, plain_copy
from fedefm.exchange.messages import Assignment, Result, Stage, Task
from fedefm.maths.fingerprint import weights_sha256

Weights = dict[str, Tensor]
Digest = Callable[[Mapping[str, Tensor]], str]

TASK, MODELS, WEIGHTS, REPORT, IMAGES, TASK_ID = "task", "models", "weights", "report", "images", "task_id"
SHA256 = "fedefm_sha256"
REASON = "fedefm_reason"
MAX_TENSORS = 100_000

REASONS = {
    "ConfigError": "its settings are wrong; its own log says which",
    "DataError": "its data cannot be used; its own log says why",
    "OptimalTransportError": "an optimal transport problem has no answer; its own log says why",
    "CheckpointError": "the weights do not fit its network; its own log says why",
    "ProtocolError": "it refused the task; its own log says why",
    "Error": "its work failed; its own log says why",
}


def register_decomposers() -> None:
    """Let FLARE carry torch tensors; both ends call it when the run starts."""
    fobs.register(TensorDecomposer)


def encode_assignment(assignment: Assignment[Weights], digest: Digest = weights_sha256) -> Shareable:
    """A task and its weights, ready to send; tensors are referred to, not copied."""
    message = Shareable()
    message[TASK] = assignment.task.to_dict()
    message[MODELS] = {name: dict(weights) for name, weights in assignment.models.items()}
    message.set_header(SHA256, {name: digest(weights) for name, weights in assignment.models.items()})
    return message


def decode_assignment(message: Any, site: str, stage: str) -> Assignment[Weights]:
    """What the server asks of `site` under the task name `stage`.

    Raises:
        ProtocolError: ill-typed parts, altered weights, or a task that is meant for someone else.
    """
    task = Task.from_dict(_part(message, TASK))
    if task.site != site or task.stage.value != stage:
        raise ProtocolError(f"task {task.id}: meant for another hospital or stage than {site}, {stage}")
    models, digests = _part(message, MODELS), message.get_header(SHA256)
    if not isinstance(models, dict) or not isinstance(digests, dict) or set(models) != set(digests):
        raise ProtocolError(f"task {task.id}: models and their hashes do not go together")
    return Assignment(task, {_name(k): _weights(v, digests[k], task.id) for k, v in models.items()})


def encode_result(result: Result[Weights]) -> Shareable:
    """A hospital's result, ready to send."""
    reply = make_reply(ReturnCode.OK)
    reply[TASK_ID], reply[IMAGES], reply[REPORT] = result.task_id, int(result.images), plain_copy(result.report)
    if result.weights is not None:
        seal(reply, result.weights)
    return reply


def seal(reply: Shareable, weights: Mapping[str, Tensor]) -> Shareable:
    """Put weights into a reply, with their hash; those that were in it are replaced."""
    reply[WEIGHTS] = dict(weights)
    reply.set_header(SHA256, weights_sha256(weights))
    return reply


def decode_result(reply: Any, task: Task) -> Result[Weights]:
    """The result that answers `task`.

    Raises:
        ProtocolError: an ill-typed part, altered weights, or an answer to another task.
    """
    if _part(reply, TASK_ID) != task.id:
        raise ProtocolError(f"answered another task than {task.id}; a stale or misplaced result is refused")
    images = _part(reply, IMAGES)
    if not is_count(images):
        raise ProtocolError(f"{task.id}: the number of images is no whole number from 0")
    weights = None if reply.get(WEIGHTS) is None else _weights(reply[WEIGHTS], reply.get_header(SHA256), task.id)
    return Result(task.id, weights, _report(reply), images)


def encode_error(error: Exception) -> Shareable:
    """Say only what kind of error stopped the work: paths, file names and identifiers stay in the site's own log."""
    reply = make_reply(ReturnCode.EXECUTION_EXCEPTION)
    reply.set_header(REASON, reason_class(error))
    return reply


def reason_class(error: Exception) -> str:
    """The first known class of an error's own classes."""
    names = [c.__name__ for c in type(error).__mro__] if isinstance(error, FedefmError) else []
    return next((name for name in names if name in REASONS), "Error")


def reason_of(reply: Any) -> str | None:
    """Why a reply carries no result, in this package's own words; None if it claims to be one."""
    if not isinstance(reply, Shareable):
        return "sent something that is no reply"
    code = reply.get_return_code()
    if code == ReturnCode.OK:
        return None
    name = reply.get_header(REASON)
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
