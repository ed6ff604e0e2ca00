"""`fedefm init`: whose weights an encoder's are, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from fedefm.cli import main
from fedefm.errors import CheckpointError, ConfigError
from fedefm.models.build import initial_weights
from fedefm.models.checkpoint import load_weights
from fedefm.models.spec import ModelSpec

SPEC = ModelSpec("Unet", "tu-test_resnet", {"encoder_depth": 4, "decoder_channels": [32, 24, 16, 8]})
NETWORK = ["--model", "Unet:tu-test_resnet", "--classes", "catheter,vessel", "--size", "32"]
NETWORK += ["--set", "model.options.encoder_depth=4", "--set", "model.options.decoder_channels=[32,24,16,8]"]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole network of timm for three colours, as it is published."""
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("timm") / "model.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), path)
    return path


def made(*words: Any) -> tuple[int, Any]:
    out = words[-1]
    return main(["init", *NETWORK, *map(str, words[:-1]), "--out", str(out)]), out


def test_the_encoder_is_the_files_and_all_else_the_seeds(published: Path, tmp_path: Path) -> None:
    code, out = made("--encoder", published, "--seed", 3, tmp_path / "start.safetensors")
    assert code == 0
    found, theirs = load_weights(out), load_file(published)
    plain = initial_weights(SPEC, 3, 32, seed=3)
    assert found.classes == ("catheter", "vessel") and found.spec.pretrained == "model.safetensors"
    taken = {name: f"encoder.model.{name}" for name in theirs if f"encoder.model.{name}" in found.weights}
    assert len(taken) > 20
    for name, ours in taken.items():
        colours = theirs[name].ndim == 4 and theirs[name].shape[1] == 3 and found.weights[ours].shape[1] == 1
        expected = theirs[name].sum(1, keepdim=True) if colours else theirs[name]
        torch.testing.assert_close(found.weights[ours], expected)
    others = [name for name in plain if not name.startswith("encoder")]
    assert others and all(torch.equal(found.weights[name], plain[name]) for name in others)


def test_the_same_seed_gives_the_same_file(published: Path, tmp_path: Path, capsys: Any) -> None:
    hashes = []
    for seed in (1, 1, 2):
        code, _ = made("--encoder", published, "--seed", seed, "--json", tmp_path / f"{len(hashes)}.safetensors")
        hashes.append(json.loads(capsys.readouterr().out)["sha256"])
        assert code == 0
    assert hashes[0] == hashes[1] != hashes[2]


def test_without_a_file_they_are_a_jobs_own_start_weights(tmp_path: Path) -> None:
    code, out = made("--seed", 4, tmp_path / "start.safetensors")
    assert code == 0
    found, plain = load_weights(out).weights, initial_weights(SPEC, 3, 32, seed=4)
    assert all(torch.equal(found[name], plain[name]) for name in plain)


def wrong_network(folder: Path) -> Path:
    save_file(timm.create_model("test_vit").state_dict(), folder / "vit.safetensors")
    return folder / "vit.safetensors"


def not_a_number(folder: Path) -> Path:
    weights = timm.create_model("test_resnet").state_dict()
    next(iter(weights.values()))[0] = torch.nan
    save_file(weights, folder / "model.safetensors")
    return folder / "model.safetensors"


def text(folder: Path) -> Path:
    (folder / "model.safetensors").write_text("weights")
    return folder / "model.safetensors"


def pickle(folder: Path) -> Path:
    torch.save({}, folder / "model.pth")
    return folder / "model.pth"


@pytest.mark.parametrize(
    ("file", "named"),
    [
        (wrong_network, "does not fit tu-test_resnet"),
        (text, "cannot be taken for tu-test_resnet"),
        (pickle, "only safetensors is read"),
        (lambda folder: folder / "none.safetensors", "no such file"),
        (not_a_number, "NaN"),
    ],
)
def test_another_file_is_refused_in_one_line_and_nothing_is_written(
    file: Any, named: str, tmp_path: Path, capsys: Any
) -> None:
    code, out = made("--encoder", file(tmp_path), tmp_path / "start.safetensors")
    said = capsys.readouterr().err
    assert code == CheckpointError.exit_code and named in said and said.count("\n") == 1 and not out.exists()


def test_a_network_that_is_not_timms_and_settings_of_another_kind_are_refused(
    published: Path, tmp_path: Path, capsys: Any
) -> None:
    words = ["init", "--classes", "vessel", "--encoder", str(published), "--out", str(tmp_path / "start.safetensors")]
    assert main([*words, "--model", "Unet:resnet18"]) == ConfigError.exit_code
    assert "Unet:tu-resnet34" in capsys.readouterr().err
    assert main([*words, "--model", "Unet:tu-test_resnet", "--set", "size=3"]) == ConfigError.exit_code
    assert "only settings of the network" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "named"), [(["--classes", "a,a"], "classes"), (["--size", "0"], "size")])
def test_what_no_job_takes_is_refused(words: list[str], named: str, tmp_path: Path, capsys: Any) -> None:
    code, out = made(*words, tmp_path / "start.safetensors")
    assert code == ConfigError.exit_code and named in capsys.readouterr().err and not out.exists()
