"""A finished run on disk: weights that load again, a record that names them, and pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fedefm.exchange.schedule import Schedule
from fedefm.foundation.overlays import finish, to_grey
from fedefm.foundation.record import save_run, versions
from fedefm.foundation.run import FoundationRun, run_in_process
from fedefm.foundation.settings import Settings
from fedefm.maths import weights_sha256
from fedefm.models.checkpoint import load_weights
from fedefm.report.schema import validate_report
from fedefm.training.optimisation import Optimisation
from support.small_networks import SMALLEST

CLASSES = ("catheter", "guidewire", "vessel")
SCHEDULE = Schedule(rounds=1, local_steps=1, overseas_steps=1, distil_steps=1)
JOB = Settings(CLASSES, size=32, schedule=SCHEDULE, model=SMALLEST, optimisation=Optimisation(batch_size=2))


@pytest.fixture(scope="module")
def folders(consortium: dict[str, Path]) -> dict[str, Path]:
    return {site: consortium[site] for site in ("east", "west")}


@pytest.fixture(scope="module")
def run(folders: dict[str, Path]) -> FoundationRun:
    return run_in_process(JOB, folders)


def test_weights_load_again_and_are_what_the_record_names(run: FoundationRun, tmp_path: Path) -> None:
    record = save_run(JOB, run.state, run.figures, tmp_path)
    theta = load_weights(tmp_path / record["theta"]["path"], spec=JOB.model, classes=len(CLASSES) + 1)
    assert theta.sha256 == record["theta"]["sha256"] == weights_sha256(run.state.theta)
    assert (theta.classes, theta.size) == (CLASSES, 32)
    assert set(record["models"]) == {"east", "west"}
    for site, entry in record["models"].items():
        found = load_weights(tmp_path / entry["path"], spec=JOB.model)
        assert found.sha256 == entry["sha256"] == weights_sha256(run.state.silos[site])


def test_the_record_is_a_report_and_says_what_ran(run: FoundationRun, tmp_path: Path) -> None:
    record = save_run(JOB, run.state, run.figures, tmp_path)
    validate_report(record)
    assert Settings.from_dict(record["config"]) == JOB
    assert (record["method"], record["rounds"], record["seed"]) == ("fedefm", 1, 0)
    assert record["versions"] == versions() and record["versions"]["torch"].split("+")[0] in torch.__version__


def test_the_pictures_show_theta_on_test_frames(run: FoundationRun, folders: dict[str, Path], tmp_path: Path) -> None:
    save_run(JOB, run.state, run.figures, tmp_path)
    pictures = finish(JOB, tmp_path, folders)
    assert [picture.site for picture in pictures] == ["east", "east", "west", "west"]
    for picture in pictures:
        assert picture.image.shape == picture.truth.shape == picture.prediction.shape == (32, 32)
        assert (picture.image.min(), picture.image.max()) == (0, 255)
        assert set(np.unique(picture.prediction)) <= {0, 1, 2, 3}
    assert all(picture.truth.any() for picture in pictures)  # frames are chosen for what they show
    assert "labels catheter" in pictures[0].caption


def test_a_hospital_that_was_left_out_costs_no_other_its_pictures(
    run: FoundationRun, folders: dict[str, Path], tmp_path: Path
) -> None:
    save_run(JOB, run.state, run.figures, tmp_path)
    (tmp_path / "empty").mkdir()
    pictures = finish(JOB, tmp_path, {**folders, "bad": tmp_path / "empty"})
    assert [picture.site for picture in pictures] == ["east", "east", "west", "west"]


def test_without_theta_there_is_no_picture_and_no_entry(folders: dict[str, Path], tmp_path: Path) -> None:
    job = replace(JOB, schedule=replace(SCHEDULE, method="lone"))
    run = run_in_process(job, folders)
    record = save_run(job, run.state, run.figures, tmp_path)
    validate_report(record)
    assert record["theta"] is None and set(record["models"]) == {"east", "west"}
    assert finish(job, tmp_path, folders) == []


@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (0.0, 1e-3), (-200.0, 1e4)])
def test_grey_values_span_eight_bits_in_order(low: float, high: float) -> None:
    values = torch.linspace(low, high, 64).view(8, 8)
    grey = to_grey(values)
    assert grey.dtype == np.uint8 and (int(grey.min()), int(grey.max())) == (0, 255)
    assert (np.diff(grey.ravel().astype(int)) >= 0).all()


def test_a_flat_image_is_black() -> None:
    assert not to_grey(torch.full((4, 4), 7.0)).any()
