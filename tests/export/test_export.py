"""ONNX that gives what torch gives, and a model card."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from fedefm.cli import main
from fedefm.errors import CheckpointError, ConfigError, FedefmError, TrustError
from fedefm.export.onnx_file import CARD_FILE, ONNX_FILE
from fedefm.models.build import build_model, initial_weights
from fedefm.models.checkpoint import load_weights, save_weights
from fedefm.models.spec import ModelSpec
from fedefm.trust import sign_folder
from support.consortium_certificates import Authority
from support.small_networks import SMALLEST


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_weights(path, initial_weights(SMALLEST, 3, 64, 0), spec=SMALLEST, classes=("catheter", "wire"), size=64)
    return path


@pytest.fixture(scope="module")
def exported(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "out"
    assert main(["export", str(model), "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_another_runtime_gives_what_torch_gives(model: Path, exported: Path, batch: int) -> None:
    network = build_model(SMALLEST, 3, 64)
    network.load_state_dict(load_weights(model).weights)
    images = torch.randn(batch, 1, 64, 64, generator=torch.Generator().manual_seed(batch))
    with torch.no_grad():
        ours = network.eval()(images).numpy()
    session = onnxruntime.InferenceSession(str(exported / ONNX_FILE), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {"image": images.numpy()})[0]
    assert theirs.shape == ours.shape and np.abs(theirs - ours).max() < 1e-4


def test_the_card_says_what_the_model_is_and_that_nothing_else_is_known(model: Path, exported: Path) -> None:
    card = (exported / CARD_FILE).read_text()
    assert load_weights(model).sha256 in card
    assert "| 1 | catheter |" in card and "Not a medical device" in card
    assert "Unknown: no report.json" in card


# --- what the card tells ---------------------------------------------------------------------------------------------


def finetune_report(sha256: str) -> dict[str, Any]:
    """As `fedefm finetune` leaves it; one hospital did not tell how many of its images hold the class."""
    after = {
        "catheter": {"dice": 0.5, "iou": 1 / 3, "support": 7},
        "wire": {"dice": None, "iou": None, "support": None},
    }
    return {
        "kind": "finetune",
        "name": "tuned",
        "created": "2026-01-02T03:04:05+00:00",
        "seed": 3,
        "config": {"task": "segmentation", "mode": "lora", "steps": 40, "labels": 0.5, "rounds": 4, "metric": "dice"},
        "sites": ["north"],
        "corpora": {"north": ["catheter"]},
        "images": {"north": {"train": 24, "val": 8, "test": None}},
        "synthetic": ["north"],
        "model": {"path": "model.safetensors", "sha256": sha256},
        "theta": {"id": "theta", "sha256": "ab" * 32},
        "best": {"round": 2, "value": 0.4},
        "scores": {"north": {"start": {}, "tuned": after}},
    }


def evaluation_report(sha256: str) -> dict[str, Any]:
    """As `fedefm evaluate` leaves it: the tip error rests on too few images and stayed at home."""
    told, kept = {"mean": 0.25, "low": 0.125, "high": 0.5, "support": 9}, dict.fromkeys(("mean", "low", "high"))
    figures = {"dice": told, "cldice": told, "tip_px": kept, "support": 9}
    return {
        "kind": "evaluation",
        "models": [{"name": "other", "sha256": "0" * 64}, {"name": "tuned", "sha256": sha256}],
        "scores": {"tuned": {"north": {"by_class": {"catheter": figures}, "all": {}}}, "other": {}},
    }


@pytest.fixture
def reported(model: Path, tmp_path: Path) -> Path:
    """Weights beside the report of the fine-tune job that made them, and the report of an evaluation."""
    copy, sha256 = tmp_path / "run" / "model.safetensors", load_weights(model).sha256
    copy.parent.mkdir()
    copy.write_bytes(model.read_bytes())
    (copy.parent / "report.json").write_text(json.dumps(finetune_report(sha256)))
    (copy.parent / "evaluation.json").write_text(json.dumps(evaluation_report(sha256)))
    return copy


@pytest.mark.slow
def test_the_card_of_a_fine_tuned_model_tells_its_data_figures_and_lineage(reported: Path, tmp_path: Path) -> None:
    command = ["export", str(reported), "--evaluation", str(reported.with_name("evaluation.json"))]
    assert main([*command, "--licence", "CC BY 4.0", "--out", str(tmp_path / "out")]) == 0
    card = (tmp_path / "out" / CARD_FILE).read_text()
    assert "| north | catheter | 24 | 8 | - | synthetic |" in card
    assert "| north | catheter | 0.500 | 0.333 | 7 |" in card and "| north | wire | - | - | - |" in card
    assert f"fine-tuned from Theta sha256 `{'ab' * 32}`" in card and load_weights(reported).sha256 in card
    assert "mode lora, 40 steps a hospital, 50% of the labelled patients, seed 3" in card
    assert "round 3 of 4, the best by 'pooled Dice'" in card
    interval = "0.250 (0.125 to 0.500)"
    assert f"| north | catheter | {interval} | - | {interval} | - | - | - | - | - | 9 |" in card
    assert "## Licence\n\nCC BY 4.0\n" in card and "Synthetic images" in card


def test_a_report_of_other_weights_says_nothing_about_these(reported: Path, tmp_path: Path) -> None:
    reported.with_name("report.json").write_text(json.dumps(finetune_report("0" * 64)))
    assert main(["export", str(reported), "--out", str(tmp_path / "out")]) == 0
    card = (tmp_path / "out" / CARD_FILE).read_text()
    assert card.count("Unknown: no report.json") == 2 and "not chosen" in card and "## Evaluation" not in card


def test_the_card_names_who_signed_the_weights(reported: Path, tmp_path: Path) -> None:
    authority = Authority()
    root, _ = authority.root.write(tmp_path / "ca", "rootCA")
    lead = authority.issue("ann@lead", "lead")
    command = ["export", str(reported), "--root", str(root), "--out", str(tmp_path / "out")]
    assert main(command) == TrustError.exit_code and not (tmp_path / "out").exists()
    sign_folder(reported.parent, lead.certificate, lead.key, kind="model", subject="job-7")
    assert main(command) == 0
    card = (tmp_path / "out" / CARD_FILE).read_text()
    assert "- signed by ann@lead (lead) as job-7, " in card and "- hospitals: 1" in card


# --- wrong input -----------------------------------------------------------------------------------------------------


def alter(weights: Path) -> list[str]:
    data = bytearray(weights.read_bytes())
    data[-5] ^= 1
    weights.write_bytes(data)
    return []


def rewrite(spec: ModelSpec = SMALLEST, classes: tuple[str, ...] = ("catheter", "wire")) -> Callable[[Path], list[str]]:
    """The same tensors under another header, whole in itself."""

    def spoil(weights: Path) -> list[str]:
        save_weights(weights, load_weights(weights).weights, spec=spec, classes=classes, size=64)
        return []

    return spoil


def report(plain: Any) -> Callable[[Path], list[str]]:
    def spoil(weights: Path) -> list[str]:
        weights.with_name("report.json").write_text(json.dumps(plain))
        return []

    return spoil


def evaluation(plain: Any) -> Callable[[Path], list[str]]:
    def spoil(weights: Path) -> list[str]:
        weights.with_name("evaluation.json").write_text(json.dumps(plain))
        return ["--evaluation", str(weights.with_name("evaluation.json"))]

    return spoil


WRONG: dict[str, tuple[Callable[[Path], list[str]], type[FedefmError], str]] = {
    "altered": (alter, CheckpointError, "altered"),
    "wrong class count": (rewrite(classes=("catheter",)), CheckpointError, "not those of Unet"),
    "wrong architecture": (rewrite(ModelSpec("Unet", "resnet18")), CheckpointError, "not those of Unet"),
    "a classifier": (rewrite(ModelSpec("Classifier", "x")), CheckpointError, "no network that can be built here"),
    "no weights": (lambda weights: [weights.write_text("{}") and "--json"], CheckpointError, "damaged"),
    "a damaged report": (report({"kind": "finetune", "model": 3}), ConfigError, "report.json: damaged"),
    "another evaluation": (evaluation(evaluation_report("1" * 64)), ConfigError, "did not measure these weights"),
    "no evaluation": (evaluation({"kind": "finetune"}), ConfigError, "no report of `fedefm evaluate`"),
    "a damaged evaluation": (evaluation({"kind": "evaluation", "models": [{}]}), ConfigError, "damaged"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_ends_in_one_line_and_writes_nothing(
    case: str, reported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare, kind, named = WRONG[case]
    extra = prepare(reported)
    before = sorted(tmp_path.rglob("*"))
    code = main(["export", str(reported), *extra, "--out", str(tmp_path / "out")])
    printed = capsys.readouterr()
    assert code == kind.exit_code != 0
    assert printed.err.startswith("fedefm: ") and printed.err.count("\n") == 1 and named in printed.err
    assert printed.out == "" and sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_holds_something_is_kept(model: Path, exported: Path) -> None:
    before = {path.name: path.read_bytes() for path in exported.iterdir()}
    assert main(["export", str(model), "--out", str(exported)]) == ConfigError.exit_code
    assert {path.name: path.read_bytes() for path in exported.iterdir()} == before
