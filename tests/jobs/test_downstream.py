"""Fine-tune and evaluation over mutual TLS, from weights that the lead signed; and weights that nobody may use."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedefm.cli import main
from fedefm.errors import TrustError
from fedefm.evaluation.models import read_models
from fedefm.evaluation.rounds import evaluate_in_process
from fedefm.evaluation.settings import Evaluation
from fedefm.federation.console import Console
from fedefm.federation.place import Place, provision
from fedefm.federation.rehearsal import synthetic_hospitals, why
from fedefm.federation.sites import running
from fedefm.finetune.rounds import tune_in_process
from fedefm.finetune.settings import FineTune
from fedefm.flare.server_config import FILE as SERVER_FILE
from fedefm.maths.fingerprint import weights_sha256
from fedefm.models.build import initial_weights
from fedefm.models.checkpoint import THETA_FILE, load_weights, save_weights
from fedefm.models.spec import ModelSpec
from fedefm.resources import shipped
from fedefm.training.optimisation import Optimisation
from fedefm.training.theta import read_theta
from fedefm.trust import sign_job
from support.small_networks import SMALLEST

CLASSES = ("catheter", "guidewire", "vessel")
ID = "foundation-1"
TUNE = FineTune(CLASSES, theta=ID, size=32, model=SMALLEST, steps=2, rounds=1, stage_timeout=60)
MEASURE = Evaluation(CLASSES, (ID, "tuned-1"), size=32, model=SMALLEST, least_images=1, stage_timeout=60)
COMPLETED = "FINISHED:COMPLETED"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return provision(tmp_path_factory.mktemp("downstream"))


@pytest.fixture(scope="module")
def models(place: Place) -> Path:
    """The server's folder of models, with a Theta that the lead has signed."""
    folder = place.root / "models"
    write_theta(folder / ID)
    sign(place, folder / ID)
    return folder


def write_theta(folder: Path, spec: ModelSpec = SMALLEST, size: int = 32) -> Path:
    weights = initial_weights(spec, 4, size, seed=7)
    save_weights(folder / THETA_FILE, weights, spec=spec, classes=CLASSES, size=size)
    return folder / THETA_FILE


def serves(place: Place, models: Path) -> None:
    """Let the server take weights from this folder."""
    config = place.kit(place.server) / "local" / SERVER_FILE
    config.write_text(json.dumps({"models": str(models)}))
    config.chmod(0o600)


def sign(place: Place, folder: Path, role: str = "lead") -> None:
    startup = place.kit(place.people[role]) / "startup"
    command = [
        "trust",
        "sign",
        str(folder),
        "--cert",
        str(startup / "client.crt"),
        "--key",
        str(startup / "client.key"),
    ]
    assert main(command) == 0


def root_of(place: Place) -> Path:
    return place.kit(place.people["lead"]) / "startup" / "rootCA.pem"


# --- signed weights --------------------------------------------------------------------------------------------------


def test_signed_weights_are_read_and_verified(place: Place, models: Path) -> None:
    assert read_theta(models / ID / THETA_FILE, root_of(place), ID).classes == CLASSES
    assert main(["trust", "verify", str(models / ID), "--root", str(root_of(place))]) == 0


def unsigned(place: Place, folder: Path) -> None:
    for path in folder.glob("fedefm-manifest*"):
        path.unlink()


def altered(place: Place, folder: Path) -> None:
    """Another Theta, whole in itself, under the old signature."""
    weights = initial_weights(SMALLEST, 4, 32, seed=8)
    save_weights(folder / THETA_FILE, weights, spec=SMALLEST, classes=CLASSES, size=32)


def a_file_more(place: Place, folder: Path) -> None:
    shutil.copy(folder / THETA_FILE, folder / "other.safetensors")


def by_a_site(place: Place, folder: Path) -> None:
    unsigned(place, folder)
    startup = place.kit(place.hospitals[0]) / "startup"
    command = ["--cert", str(startup / "client.crt"), "--key", str(startup / "client.key")]
    assert main(["trust", "sign", str(folder), *command]) == 0


def under_another_id(place: Place, folder: Path) -> None:
    unsigned(place, folder)
    other = folder.with_name("foundation-2")
    folder.rename(other)
    sign(place, other)
    other.rename(folder)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (unsigned, "not signed"),
        (altered, THETA_FILE),
        (a_file_more, "other.safetensors"),
        (by_a_site, "may not sign"),
        (under_another_id, "foundation-2"),
    ],
)
def test_weights_that_the_lead_did_not_sign_as_they_are_stay_unused(
    spoil: Any, named: str, place: Place, models: Path, tmp_path: Path
) -> None:
    shutil.copytree(models / ID, tmp_path / ID)
    spoil(place, tmp_path / ID)
    with pytest.raises(TrustError, match=named):
        read_theta(tmp_path / ID / THETA_FILE, root_of(place), ID)


def test_the_command_refuses_unsigned_weights_and_writes_nothing(
    place: Place, consortium: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theta = write_theta(tmp_path / "theta")
    before = sorted(tmp_path.rglob("*"))
    site = ["--site", f"east={consortium['east']}", "--out", str(tmp_path / "out")]
    code = main(["finetune", "--theta", str(theta), "--root", str(root_of(place)), *site])
    error = capsys.readouterr().err
    assert code == TrustError.exit_code and error.count("\n") == 1 and "not signed" in error
    assert sorted(tmp_path.rglob("*")) == before


# --- over mutual TLS -------------------------------------------------------------------------------------------------


def signed(place: Place, name: str, settings: Any, folder: Path) -> Path:
    """The job folder as the lead submits it."""
    job = folder / name
    shutil.copytree(shipped("jobs", name), job)
    (job / "app" / "config" / f"{name}.json").write_text(json.dumps(settings.to_dict()))
    startup = place.kit(place.people["lead"]) / "startup"
    sign_job(job, startup / "client.crt", startup / "client.key")
    return job


def run(place: Place, job: Path, folder: Path, seconds: float = 180.0) -> tuple[str, Path]:
    lead = Console(place.kit(place.people["lead"]))
    job_id = lead.submit(job)
    status = lead.watch(job_id, lambda: None, seconds)
    return f"{status} {'' if status == COMPLETED else why(place, job_id)}", lead.download(job_id, folder) / "workspace"


@pytest.mark.slow
@pytest.mark.federation
@pytest.mark.timeout(600)
def test_a_federation_tunes_and_measures_as_one_process_does(place: Place, models: Path, tmp_path: Path) -> None:
    folders = synthetic_hospitals(tmp_path / "data", place.hospitals[:1], 0)
    serves(place, models)
    theta = load_weights(models / ID / THETA_FILE)
    with running(place, folders):
        status, results = run(place, signed(place, "finetune", TUNE, tmp_path / "tune"), tmp_path / "tuned")
        assert status.strip() == COMPLETED
        tuned = next(results.rglob("tuned.safetensors"))
        here = tune_in_process(TUNE, folders, theta)
        assert here.weights is not None
        save_weights(tmp_path / "here.safetensors", here.weights, spec=SMALLEST, classes=CLASSES, size=32)
        assert load_weights(tuned).sha256 == load_weights(tmp_path / "here.safetensors").sha256

        (models / "tuned-1").mkdir()
        shutil.copy(tuned, models / "tuned-1")
        sign(place, models / "tuned-1")
        status, results = run(place, signed(place, "evaluation", MEASURE, tmp_path / "measure"), tmp_path / "measured")
        assert status.strip() == COMPLETED
        record = json.loads(next(results.rglob("record.json")).read_text())
        files = {"theta": models / ID / THETA_FILE, "tuned": models / "tuned-1" / "tuned.safetensors"}
        assert record["models"] == evaluate_in_process(MEASURE, folders, read_models(files))["models"]
        told = {value for row in record["matrix"]["dice"].values() for value in row.values()}
        assert None not in told  # the rehearsal's sites tell of few images too: theirs are synthetic

        (models / "unsigned").mkdir()
        shutil.copy(models / ID / THETA_FILE, models / "unsigned")
        job = signed(place, "finetune", FineTune(**{**vars(TUNE), "theta": "unsigned"}), tmp_path / "unsigned")
        status, results = run(place, job, tmp_path / "refused")
        assert COMPLETED not in status and "not signed" in status
        assert not list(results.rglob("*.safetensors"))


@pytest.mark.slow
@pytest.mark.federation
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("spec", "size"),
    [(ModelSpec("Unet", "resnet50"), 64), (ModelSpec("DPT", "tu-vit_base_patch16_224"), 224)],
    ids=["resnet50", "vit_base"],
)
def test_three_hospitals_tune_and_measure_a_large_network(
    spec: ModelSpec, size: int, place: Place, tmp_path: Path
) -> None:
    """130 and 486 MB: what is signed, sent, kept and averaged in one go with a small network is not with these."""
    models, large = tmp_path / "models", Optimisation(batch_size=1)
    write_theta(models / ID, spec, size)
    sign(place, models / ID)
    serves(place, models)
    folders = synthetic_hospitals(tmp_path / "data", place.hospitals, 0)
    tune = replace(TUNE, model=spec, size=size, steps=2, rounds=2, stage_timeout=600, optimisation=large)
    measure = replace(MEASURE, model=spec, size=size, stage_timeout=600)
    with running(place, folders):
        job = signed(place, "finetune", tune, tmp_path / "tune")
        status, results = run(place, job, tmp_path / "tuned", 900.0)
        assert status.strip() == COMPLETED
        assert json.loads(next(results.rglob("record.json")).read_text())["lost"] == []
        (models / "tuned-1").mkdir()
        shutil.copy(next(results.rglob("tuned.safetensors")), models / "tuned-1")
        sign(place, models / "tuned-1")
        job = signed(place, "evaluation", measure, tmp_path / "measure")
        status, results = run(place, job, tmp_path / "measured", 900.0)
        assert status.strip() == COMPLETED
    record = json.loads(next(results.rglob("record.json")).read_text())
    assert record["lost"] == [] and set(record["matrix"]["dice"]) == {"theta", "tuned"}
    tuned = load_weights(models / "tuned-1" / "tuned.safetensors")
    here = tune_in_process(tune, folders, load_weights(models / ID / THETA_FILE)).weights
    assert here is not None and tuned.sha256 == weights_sha256(here)
