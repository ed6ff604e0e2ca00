"""Methods side by side."""

import pickle
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from fedefm.errors import ConfigError, QuorumError
from fedefm.exchange.events import Event, StageEnded
from fedefm.exchange.schedule import Schedule
from fedefm.foundation.compare import _run, compare, side_by_side
from fedefm.foundation.settings import Settings
from fedefm.models.checkpoint import load_weights
from fedefm.report.schema import validate_report
from fedefm.training.optimisation import Optimisation
from support.small_networks import SMALLEST

CLASSES = ("catheter", "guidewire", "vessel")
SCHEDULE = Schedule(rounds=1, local_steps=1, overseas_steps=1, distil_steps=1, compare_lone=True)
JOB = Settings(CLASSES, size=32, schedule=SCHEDULE, model=SMALLEST, optimisation=Optimisation(batch_size=2))


def with_method(method: str) -> Settings:
    return replace(JOB, schedule=replace(SCHEDULE, method=method))


def record(mean: float | None) -> dict[str, Any]:
    return {"method": f"m{mean}", "dice": {"mean": mean, "by_site": {}}, "iou": {"mean": None, "by_site": {}}}


def test_the_first_method_leads_and_every_mean_is_listed() -> None:
    records = {"b": record(0.5), "a": record(None)}
    report = side_by_side(records)
    assert report["method"] == "m0.5"
    assert report["dice"] == {"mean": 0.5, "by_site": {}, "by_method": {"b": 0.5, "a": None}}
    assert report["iou"]["by_method"] == {"b": None, "a": None}
    assert report["methods"] == records == {"b": record(0.5), "a": record(None)}  # inputs stay as they were


def test_two_methods_give_one_report_and_two_sets_of_weights(consortium: dict[str, Path], tmp_path: Path) -> None:
    folders = {site: consortium[site] for site in ("east", "west")}
    told: list[tuple[str, Event]] = []
    plans = {method: with_method(method) for method in ("fedavg", "lone")}
    report = compare(plans, folders, tmp_path, workers=1, on_event=lambda *event: told.append(event))
    validate_report(report)
    assert set(report["dice"]["by_method"]) == {"fedavg", "lone"}
    assert (
        report["methods"]["fedavg"]["dice"]["mean"] == report["dice"]["by_method"]["fedavg"] == report["dice"]["mean"]
    )
    assert [report["methods"][method]["method"] for method in ("fedavg", "lone")] == ["fedavg", "lone"]
    for method, found in report["methods"].items():
        assert found["config"]["schedule"] | {"method": "", "compare_lone": ""} == (
            JOB.to_dict()["schedule"] | {"method": "", "compare_lone": ""}
        )
        assert {name for name, event in told if isinstance(event, StageEnded)} >= {method}
        for entry in [e for e in (found["theta"], *found["models"].values()) if e is not None]:
            assert load_weights(tmp_path / entry["path"]).sha256 == entry["sha256"]


@pytest.mark.parametrize(("methods", "workers", "named"), [((), 1, "method"), (("lone",), 0, "worker")])
def test_a_comparison_of_nothing_or_by_nobody_is_refused_before_any_run(
    methods: tuple[str, ...], workers: int, named: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        compare(dict.fromkeys(methods, JOB), {"east": tmp_path / "none"}, tmp_path / "out", workers)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_a_run_that_fails_keeps_its_kind_and_names_the_method(tmp_path: Path) -> None:
    with pytest.raises(QuorumError, match="fedavg: ") as caught:
        _run("fedavg", with_method("fedavg"), {"east": tmp_path / "none"}, tmp_path / "out", "cpu", SimpleQueue())
    back = pickle.loads(pickle.dumps(caught.value))  # as it crosses from the worker
    assert type(back) is QuorumError and str(back) == str(caught.value)
    assert not (tmp_path / "out").exists()
