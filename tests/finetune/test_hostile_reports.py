"""Figures that a hospital sends in a fine-tune job end its own task, never the job."""

import pytest

from fedefm.errors import ProtocolError
from fedefm.exchange.messages import Stage
from fedefm.flare.reports import check_report

PREPARED = {"corpus": ["vessel"], "images": {"train": 3}}


@pytest.mark.parametrize(
    ("stage", "report"),
    [
        (Stage.PREPARE, {**PREPARED, "metrics": 5}),
        (Stage.PREPARE, {**PREPARED, "metrics": [{"dice": 1}]}),
        (Stage.VALIDATE, {}),
        (Stage.VALIDATE, {"metrics": [0.5]}),
        (Stage.VALIDATE, {"metrics": {"dice": "high"}}),
        (Stage.VALIDATE, {"metrics": {"dice": {"mean": 1.0}}}),
        (Stage.TUNE, {}),
        (Stage.TUNE, {"loss": "low"}),
        (Stage.TUNE, {"loss": 0.1, "scores": {"tuned": {"vessel": {"dice": "high", "support": 1}}}}),
        (Stage.TUNE, {"loss": 0.1, "scores": {"tuned": {"vessel": 0.9}}}),
        (Stage.MEASURE, {}),
        (Stage.MEASURE, {"scores": []}),
    ],
)
def test_ill_typed_figures_are_refused(stage: Stage, report: dict) -> None:
    with pytest.raises(ProtocolError):
        check_report(report, stage)


@pytest.mark.parametrize(
    ("stage", "report"),
    [
        (Stage.PREPARE, {**PREPARED, "metrics": ["dice", "loss"]}),
        (Stage.VALIDATE, {"metrics": {"dice": 0.5, "dice/vessel": None}}),
        (Stage.TUNE, {"loss": 0.1}),
        (Stage.TUNE, {"loss": 0.1, "scores": {"tuned": {"vessel": {"dice": 0.5, "support": 1}}}}),
        (Stage.MEASURE, {"scores": {"by_class": {}, "all": {}}}),
    ],
)
def test_good_figures_pass(stage: Stage, report: dict) -> None:
    assert check_report(report, stage) == report
