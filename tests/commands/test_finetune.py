"""`fedefm finetune`: what it leaves, and one line with nothing written for every wrong input."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedefm.cli import main
from fedefm.data.png_file import write_png
from fedefm.errors import CheckpointError, ConfigError, DataError, FedefmError, TrustError
from fedefm.finetune.weights import TUNED_FILE
from fedefm.models.build import take_weights
from fedefm.models.checkpoint import load_weights, save_weights
from fedefm.models.classifier import CLASSIFIER, build_tuned
from fedefm.models.spec import ModelSpec
from fedefm.training.theta import MODEL
from fedefm.trust import sign_folder
from support.consortium_certificates import Authority
from support.thetas import CLASSES, SMALLEST, write_theta

SHORT = ["--steps", "2", "--rounds", "1", "--json"]


@pytest.fixture
def theta(tmp_path: Path) -> Path:
    (tmp_path / "foundation").mkdir()
    return write_theta(tmp_path / "foundation" / "theta.safetensors")


@pytest.fixture
def sites(consortium: dict[str, Path]) -> list[str]:
    return [word for site in ("east", "north") for word in ("--site", f"{site}={consortium[site]}")]


@pytest.mark.simulator
def test_in_process_and_in_the_simulator_the_weights_are_the_same(
    theta: Path, sites: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = {}
    for name, extra in (("here", ["--in-process"]), ("flare", [])):
        out = tmp_path / name
        assert main(["finetune", "--theta", str(theta), *sites, *SHORT, *extra, "--out", str(out)]) == 0
        records[name] = json.loads(capsys.readouterr().out)
        assert json.loads((out / "report.json").read_text()) == records[name]
        assert load_weights(out / "tuned.safetensors").sha256 == records[name]["model"]["sha256"]
    assert records["flare"]["model"] == records["here"]["model"]
    assert records["flare"]["scores"] == records["here"]["scores"]
    assert records["flare"]["theta"] == {"id": "theta", "sha256": load_weights(theta).sha256}
    left = {"report.json", "report.html", "tuned.safetensors", "simulator.log"}
    assert {p.name for p in (tmp_path / "flare").iterdir()} == left


@pytest.mark.simulator
@pytest.mark.slow
def test_alone_in_the_simulator_weights_stay_with_the_hospital(
    theta: Path, consortium: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    site = ["--site", f"east={consortium['east']}"]
    assert main(["finetune", "--theta", str(theta), *site, *SHORT, "--local-only", "--out", str(out)]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["model"] is None and set(record["scores"]) == {"east"}
    assert load_weights(out / "east" / TUNED_FILE).sha256 != load_weights(theta).sha256
    assert not (out / "tuned.safetensors").exists()


def test_tables_for_people(theta: Path, sites: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--steps", "2", "--rounds", "1", "--mode", "lora", "--labels", "0.5", "--in-process"]
    assert main(["finetune", "--theta", str(theta), *sites, *options, "--out", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert "before" in text and "tuned.safetensors" in text and "synthetic data" in text


# --- wrong input -----------------------------------------------------------------------------------------------------

Prepare = Callable[[Path], list[str]]


def altered(theta: Path) -> list[str]:
    content = bytearray(theta.read_bytes())
    content[-1] ^= 1
    theta.write_bytes(content)
    return []


def truncated(theta: Path) -> list[str]:
    theta.write_bytes(theta.read_bytes()[:5000])
    return []


def a_picture(theta: Path) -> list[str]:
    theta.write_bytes(b"\x89PNG\r\n")
    return []


def removed(theta: Path) -> list[str]:
    theta.unlink()
    return []


def another_class_count(theta: Path) -> list[str]:
    save_weights(theta, load_weights(theta).weights, spec=SMALLEST, classes=("catheter",), size=32)
    return []


def another_architecture(theta: Path) -> list[str]:
    save_weights(theta, load_weights(theta).weights, spec=ModelSpec("Unet", "resnet18"), classes=CLASSES, size=32)
    return []


def a_classifier(theta: Path) -> list[str]:
    spec = ModelSpec(CLASSIFIER, SMALLEST.encoder, {"of": "Unet", "options": dict(SMALLEST.options)})
    save_weights(theta, take_weights(build_tuned(spec, len(CLASSES), 32)), spec=spec, classes=CLASSES, size=32)
    return []


def unsigned(theta: Path) -> list[str]:
    certificate, _ = Authority().root.write(theta.parent.parent, "root")
    return ["--root", str(certificate)]


def altered_since(theta: Path) -> list[str]:
    """Another Theta, whole in itself, under the lead's signature of the first."""
    consortium = Authority()
    certificate, _ = consortium.root.write(theta.parent.parent, "root")
    lead = consortium.issue("lead@org", "lead")
    sign_folder(theta.parent, lead.certificate, lead.key, kind=MODEL, subject="foundation")
    write_theta(theta, classes=("stent", "wire", "coil"))
    return ["--root", str(certificate)]


def options(*words: str) -> Prepare:
    return lambda theta: list(words)


WRONG: dict[str, tuple[Prepare, type[FedefmError], str]] = {
    "altered": (altered, CheckpointError, "altered"),
    "truncated": (truncated, CheckpointError, "damaged"),
    "no safetensors": (a_picture, CheckpointError, "damaged or not safetensors"),
    "missing": (removed, CheckpointError, "no such file"),
    "wrong class count": (another_class_count, CheckpointError, "and 1 classes"),
    "wrong architecture": (another_architecture, CheckpointError, "not those of Unet"),
    "another model wanted": (options("--set", "model.encoder=resnet18"), CheckpointError, "wants Unet with 'resnet18'"),
    "another Theta wanted": (options("--set", f"theta_sha256={'0' * 64}"), CheckpointError, "SHA-256"),
    "a classifier": (a_classifier, CheckpointError, "start from the Theta that it came from"),
    "unsigned": (unsigned, TrustError, "not signed"),
    "altered since it was signed": (altered_since, TrustError, "theta.safetensors"),
    "metric nobody has": (options("--metric", "auc"), ConfigError, "'auc' is never reported in segmentation"),
    "metric of a class that nobody labels": (options("--metric", "dice/stent"), ConfigError, "never reported"),
    "no share": (options("--labels", "0"), ConfigError, "labels"),
    "no steps": (options("--steps", "0"), ConfigError, "steps"),
    "unknown key": (options("--set", "step=3"), ConfigError, "did you mean 'steps'"),
    "no such folder": (options("--site", "far=nowhere"), DataError, "nowhere"),
    "classes not all agreed": (options("--classes", "catheter"), DataError, "guidewire"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_ends_in_one_line_and_writes_nothing(
    case: str, theta: Path, sites: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare, kind, named = WRONG[case]
    extra = prepare(theta)
    before = sorted(tmp_path.rglob("*"))
    code = main(["finetune", "--theta", str(theta), *sites, *SHORT, *extra, "--out", str(tmp_path / "out")])
    printed = capsys.readouterr()
    assert code == kind.exit_code != 0
    assert printed.err.startswith("fedefm: ") and printed.err.count("\n") == 1 and len(printed.err) < 500
    assert named in printed.err and printed.out == ""
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["report.json", "tuned.safetensors", "record.json"])
def test_a_run_that_is_there_is_kept(
    name: str, theta: Path, sites: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("precious")
    assert main(["finetune", "--theta", str(theta), *sites, *SHORT, "--out", str(out)]) == ConfigError.exit_code
    assert "already holds a run" in capsys.readouterr().err
    assert [p.read_text() for p in out.iterdir()] == ["precious"]


def test_presence_of_tubes_from_a_table_as_in_ranzcr(
    theta: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bright bar is a tube: from few steps on Theta's encoder the loss on the validation images falls."""
    rng = np.random.default_rng(0)
    (tmp_path / "chest" / "images").mkdir(parents=True)
    lines = ["StudyInstanceUID,tube,line,PatientID"]
    for k in range(40):
        pixels = rng.integers(0, 90, (48, 48), dtype=np.uint8)
        if k % 2:
            pixels[:, 20:26] = 250
        write_png(tmp_path / "chest" / "images" / f"1.2.{k}.png", pixels)
        lines.append(f"1.2.{k},{k % 2},{'' if k % 4 else k % 8 // 4},p{k // 2}")
    (tmp_path / "chest" / "labels.csv").write_text("\n".join(lines) + "\n")
    options = ["--task", "classification", "--metric", "loss", "--steps", "40", "--rounds", "4", "--in-process"]
    site, out = ["--site", f"a={tmp_path / 'chest'}"], tmp_path / "out"
    assert main(["finetune", "--theta", str(theta), *site, *options, "--json", "--out", str(out)]) == 0
    record = json.loads(capsys.readouterr().out)
    losses = [entry["value"] for entry in record["history"]]
    assert min(losses) < losses[0]
    assert record["classes"] == ["line", "tube"]
    assert load_weights(out / "tuned.safetensors").spec.architecture == "Classifier"
    assert set(record["scores"]["a"]["tuned"]["tube"]) == {"auc", "f1", "support"}
