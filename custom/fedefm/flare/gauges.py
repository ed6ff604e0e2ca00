"""A job's status as a few gauges, for FLARE's own monitoring.

FLARE's reporters (`StatsDReporter` of `nvflare.fuel_opt.statsd`, whose exporter Prometheus reads) listen on a bus in
the process. Where the consortium has put one among the server's components, it is fed; else nobody listens.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nvflare.apis.fl_constant import ReservedTopic
from nvflare.fuel.data_event.data_bus import DataBus
from nvflare.metrics.metrics_keys import MetricKeys, MetricTypes

from fedefm.exchange.status import Condition, JobStatus

WELL = (Condition.WORKING, Condition.WAITING)


def gauges(status: JobStatus) -> list[dict[str, Any]]:
    """Round, and of each hospital whether it is well, its steps, weights, losses and the age of its heartbeat."""
    return [
        {MetricKeys.metric_name: f"fedefm_{name}", MetricKeys.value: value, MetricKeys.tags: tags}
        | {MetricKeys.type: MetricTypes.GAUGE}
        for name, value, tags in _values(status)
    ]


def publish(status: JobStatus) -> None:
    """Hand the gauges to whoever listens in this process."""
    DataBus().publish([ReservedTopic.APP_METRICS], gauges(status))


def _values(status: JobStatus) -> Iterator[tuple[str, float, dict[str, str]]]:
    job = {"job": status.job}
    yield "round", status.round, job
    yield "rounds", status.rounds, job
    for one in status.hospitals:
        tags = job | {"hospital": one.site}
        yield "hospital_well", int(one.condition in WELL), tags
        yield "hospital_step", one.step, tags
        yield "hospital_sent_bytes", one.sent, tags
        yield "hospital_received_bytes", one.received, tags
        yield "hospital_lost", one.lost, tags
        if one.heartbeat is not None:
            yield "hospital_heartbeat_age_seconds", max(0.0, status.written - one.heartbeat), tags
