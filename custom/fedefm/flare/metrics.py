"""A task's figures as TensorBoard scalars, through FLARE's analytics events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nvflare.apis.analytix import AnalyticsDataType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_context import FLContext
from nvflare.apis.utils.analytix_utils import create_analytic_dxo, send_analytic_dxo

from fedefm.exchange.messages import TRAVELS, Task


def scalars(task: Task, report: Mapping[str, Any]) -> dict[str, float]:
    """Tags and values: loss and pooled Dice by stage (and visitor), EMD similarity by host, agreement by class."""
    place = f"{task.stage.value}/{task.visitor}" if task.stage in TRAVELS else task.stage.value
    figures = {f"{key}/{place}": report.get(key) for key in ("loss", "val_dice")}
    figures |= {f"emd_similarity/{host}": value for host, value in report.get("emd_similarity", {}).items()}
    figures |= {f"agreement/{task.visitor}/{name}": value for name, value in report.get("agreement", {}).items()}
    return {tag: float(value) for tag, value in figures.items() if value is not None}


def send_scalars(sender: FLComponent, task: Task, report: Mapping[str, Any], fl_ctx: FLContext) -> None:
    """Fire one analytics event a scalar; the job's `ConvertToFedEvent` carries them to the server."""
    for tag, value in scalars(task, report).items():
        dxo = create_analytic_dxo(tag, value, AnalyticsDataType.SCALAR, global_step=task.round)
        send_analytic_dxo(sender, dxo, fl_ctx)
