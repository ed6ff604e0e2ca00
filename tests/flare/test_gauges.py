"""What FLARE's reporters are handed of a job's status, over FLARE's own bus."""

from nvflare.apis.fl_constant import ReservedTopic
from nvflare.fuel.data_event.data_bus import DataBus
from nvflare.metrics.metrics_keys import MetricKeys, MetricTypes

from fedefm.exchange.messages import Stage
from fedefm.exchange.status import Condition, HospitalStatus, JobStatus
from fedefm.flare.gauges import publish

HOSPITALS = (
    HospitalStatus("a", Condition.WORKING, step=3, steps=8, heartbeat=90.0, sent=5, received=7),
    HospitalStatus("b", Condition.DIED, "its job process died", lost=2),
)
STATUS = JobStatus("job", 100.0, 50.0, 1, 4, Stage.LOCAL, None, "", "", HOSPITALS)


def test_a_reporter_is_handed_the_gauges_of_each_hospital():
    heard = []
    DataBus().subscribe([ReservedTopic.APP_METRICS], lambda topic, metrics, bus: heard.append(metrics))
    try:
        publish(STATUS)
    finally:
        DataBus().unsubscribe(ReservedTopic.APP_METRICS)
    [metrics] = heard
    assert {one[MetricKeys.type] for one in metrics} == {MetricTypes.GAUGE}
    values = {
        (one[MetricKeys.metric_name], one[MetricKeys.tags].get("hospital")): one[MetricKeys.value] for one in metrics
    }
    assert values["fedefm_round", None] == 1 and values["fedefm_rounds", None] == 4
    assert (values["fedefm_hospital_well", "a"], values["fedefm_hospital_well", "b"]) == (1, 0)
    assert values["fedefm_hospital_heartbeat_age_seconds", "a"] == 10.0
    assert ("fedefm_hospital_heartbeat_age_seconds", "b") not in values
    assert (values["fedefm_hospital_step", "a"], values["fedefm_hospital_lost", "b"]) == (3, 2)
