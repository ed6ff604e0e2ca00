"""A task's figures as TensorBoard scalars, through FLARE's analytics events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nvflare.apis.analytix import AnalyticsDataType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_context import FLContext
from nvflare.apis.utils.analytix_utils import create_analytic_dxo, send_analytic_dxo

from fedefm.exchange.messages import TRAVELS, Task


def place_of(task: Task) -> str:
    """Where a task's figures stand: its stage, and of one that travels its visitor."""
    return f"{task.stage.value}/{task.visitor}" if task.stage in TRAVELS else task.stage.value


def scalars(task: Task, report: Mapping[str, Any]) -> dict[str, float]:
    """Tags and values: loss and pooled Dice by stage (and visitor), EMD similarity by host, agreement by class."""
    figures = {f"{key}/{place_of(task)}": report.get(key) for key in ("loss", "val_dice")}
    figures |= {f"emd_similarity/{host}": value for host, value in report.get("emd_similarity", {}).items()}
    figures |= {f"agreement/{model}/{name}": value for name, model, value in _agreement(task, report)}
    return {tag: float(value) for tag, value in figures.items() if value is not None}


def _agreement(task: Task, report: Mapping[str, Any]) -> Iterator[tuple[str, str, float]]:
    """Class, model and figure: an assessing host has looked at one model, a student at all that came."""
    for name, found in report.get("agreement", {}).items():
        yield from ((name, model, value) for model, value in _by_model(task, found).items())


def _by_model(task: Task, found: Any) -> Mapping[str, float]:
    return found if isinstance(found, Mapping) else {task.visitor: found}


def send_scalars(sender: FLComponent, task: Task, report: Mapping[str, Any], fl_ctx: FLContext) -> None:
    """Fire one analytics event a scalar; the job's `ConvertToFedEvent` carries them to the server."""
    for tag, value in scalars(task, report).items():
        dxo = create_analytic_dxo(tag, value, AnalyticsDataType.SCALAR, global_step=task.round)
        send_analytic_dxo(sender, dxo, fl_ctx)
