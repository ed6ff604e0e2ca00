"""The backbones of the literature, each tiny, through foundation and fine-tune: ViT, U-Net, hybrid and Swin U-Net."""

from pathlib import Path

import pytest
import torch

from fedefm.exchange.schedule import Schedule
from fedefm.finetune.rounds import tune_in_process
from fedefm.foundation.record import save_run
from fedefm.foundation.run import run_in_process
from fedefm.foundation.settings import Settings
from fedefm.models.checkpoint import THETA_FILE, load_weights
from fedefm.models.spec import ModelSpec
from fedefm.training.optimisation import Optimisation
from fedefm.training.theta import read_theta
from support.small_networks import SMALLEST
from support.thetas import job

CLASSES, SIZE = ("catheter", "guidewire", "vessel"), 64
STEPS = Optimisation(batch_size=2)
BACKBONES = {
    "ViT": ModelSpec(
        "DPT", "tu-test_vit", {"decoder_intermediate_channels": [8, 8, 8, 8], "decoder_fusion_channels": 8}
    ),
    "U-Net": SMALLEST,
    # convolutions, then attention at the deepest stages, then a U-Net's decoder with skips: the idea of TransUNet
    "hybrid": ModelSpec("Unet", "tu-test_coatnet", {"img_size": SIZE, "decoder_channels": [16, 16, 8, 8, 8]}),
    "Swin U-Net": ModelSpec(
        "Unet",
        "tu-swin_tiny_patch4_window7_224",
        {"decoder_channels": [16, 16, 8, 8], "embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8]},
    ),
}


@pytest.fixture(scope="module", params=BACKBONES)
def theta_file(request: pytest.FixtureRequest, consortium: dict[str, Path], tmp_path_factory) -> Path:
    """Theta of one round of FedEFM with two hospitals."""
    schedule = Schedule(rounds=1, local_steps=1, overseas_steps=1, distil_steps=1, compare_lone=False, min_sites=2)
    settings = Settings(CLASSES, size=SIZE, model=BACKBONES[request.param], schedule=schedule, optimisation=STEPS)
    run = run_in_process(settings, {site: consortium[site] for site in ("east", "north")})
    assert run.figures["lost"] == []
    folder = tmp_path_factory.mktemp("foundation")
    save_run(settings, run.state, run.figures, folder)
    return folder / THETA_FILE


@pytest.mark.parametrize("mode", ["full", pytest.param("lora", marks=pytest.mark.slow)])
def test_a_backbone_runs_from_foundation_to_tuned_weights(
    mode: str, theta_file: Path, consortium: dict[str, Path]
) -> None:
    settings = job(
        model=load_weights(theta_file).spec, size=SIZE, mode=mode, rank=2, rounds=1, steps=2, optimisation=STEPS
    )
    theta = read_theta(theta_file)
    tuned = tune_in_process(settings, {"west": consortium["west"]}, theta)
    assert tuned.weights is not None and tuned.figures["lost"] == []
    assert set(tuned.weights) == set(theta.weights)
    assert all(bool(value.isfinite().all()) for value in tuned.weights.values())
    moved = {name for name, value in tuned.weights.items() if not torch.equal(value, theta.weights[name])}
    assert any(name.startswith("encoder.") for name in moved)
    assert any(name.startswith("segmentation_head.") for name in moved)
