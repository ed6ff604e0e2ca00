"""A foundation job with its report."""

import json
from pathlib import Path

import pytest

from fedefm.errors import ConfigError
from fedefm.exchange.schedule import Schedule
from fedefm.foundation.settings import Settings
from fedefm.models.checkpoint import load_weights
from fedefm.simulation.run import simulate
from support.small_networks import SMALLEST

JOB = Settings(
    classes=("catheter", "guidewire", "vessel"),
    size=32,
    model=SMALLEST,
    schedule=Schedule(rounds=1, local_steps=2, overseas_steps=1, distil_steps=1),
)


@pytest.mark.parametrize("simulator", [False, pytest.param(True, marks=[pytest.mark.simulator, pytest.mark.slow])])
def test_a_run_leaves_weights_a_report_and_its_page(
    consortium: dict[str, Path], tmp_path: Path, simulator: bool
) -> None:
    events: list[object] = []
    folders = {name: str(folder) for name, folder in list(consortium.items())[:2]}
    report = simulate(JOB, folders, str(tmp_path / "run"), simulator=simulator, on_event=events.append)
    assert report == json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["sites"] == sorted(folders) and events
    assert load_weights(tmp_path / "run" / "theta.safetensors").sha256 == report["theta"]["sha256"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert report["theta"]["sha256"][:8] in page
    with pytest.raises(ConfigError, match="already holds a run"):
        simulate(JOB, folders, tmp_path / "run", simulator=simulator)


@pytest.mark.parametrize("simulator", [False, True])
def test_a_folder_that_is_not_there_is_refused_before_any_work(tmp_path: Path, simulator: bool) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        simulate(JOB, {"a": tmp_path / "none"}, tmp_path / "run", simulator=simulator)
    assert not (tmp_path / "run").exists()
