from pathlib import Path

import pytest
import torch

from fedefm.errors import CheckpointError
from fedefm.finetune.network import build_seeded, close_tuning, open_for_tuning, tuned_spec
from fedefm.finetune.weights import check_theta, start_weights
from fedefm.models.checkpoint import load_weights, save_weights
from fedefm.models.classifier import build_tuned
from fedefm.models.spec import ModelSpec
from support.thetas import CLASSES, SMALLEST, job, theta_in

HEAD = "segmentation_head.0.weight"


def test_the_same_classes_start_from_theta_to_the_bit(tmp_path: Path) -> None:
    theta = theta_in(tmp_path)
    start = start_weights(theta, job())
    assert all(torch.equal(start[name], value) for name, value in theta.weights.items())
    start[HEAD].zero_()
    assert theta.weights[HEAD].abs().sum() > 0  # a copy


def test_a_new_class_gets_a_new_row_and_known_ones_keep_theirs(tmp_path: Path) -> None:
    theta = theta_in(tmp_path)
    start = start_weights(theta, job(classes=("stent", "vessel", "catheter")))
    old = theta.weights[HEAD]
    assert start[HEAD].shape[0] == 4
    assert torch.equal(start[HEAD][[0, 2, 3]], old[[0, 3, 1]])
    assert not any(torch.equal(start[HEAD][1], row) for row in old)
    body = [name for name in theta.weights if not name.startswith("segmentation_head.")]
    assert all(torch.equal(start[name], theta.weights[name]) for name in body)


def test_without_theta_the_seed_decides() -> None:
    a, b, c = (start_weights(None, job(seed=seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a[HEAD], c[HEAD])


def test_a_classifier_takes_thetas_encoder_and_says_what_it_is(tmp_path: Path) -> None:
    theta, settings = theta_in(tmp_path), job(task="classification", metric="auc")
    start = start_weights(theta, settings)
    encoder = [name for name in theta.weights if name.startswith("encoder.")]
    assert all(torch.equal(start[name], theta.weights[name]) for name in encoder)
    assert set(start) == {*encoder, "head.weight", "head.bias"}
    model = build_seeded(settings)
    assert model(torch.zeros(2, 1, 32, 32)).shape == (2, 3)
    path = tmp_path / "tuned.safetensors"
    save_weights(path, start, spec=tuned_spec(settings), classes=CLASSES, size=32)
    found = load_weights(path)
    build_tuned(found.spec, 3, 32).load_state_dict(found.weights)


MODES = {
    "full": {"encoder": True, "decoder": True, "segmentation_head": True},
    "head": {"encoder": False, "decoder": False, "segmentation_head": True},
    "lora": {"encoder": True, "decoder": True, "segmentation_head": True},
}


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_moves_what_it_says_and_leaves_a_plain_network(mode: str) -> None:
    torch.manual_seed(0)
    settings = job(mode=mode, rank=2)
    model = build_seeded(settings)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    groups = open_for_tuning(model, settings)
    optimiser = torch.optim.SGD(groups, lr=0.1)
    for _ in range(2):  # a low-rank change starts at zero: its second factor moves only in the second step
        optimiser.zero_grad()
        model(torch.randn(2, 1, 32, 32)).square().mean().backward()
        optimiser.step()
    close_tuning(model)
    after = model.state_dict()
    assert set(after) == set(before)
    for part, moves in MODES[mode].items():
        names = [name for name in before if name.startswith(part)]
        assert any(not torch.equal(before[name], after[name]) for name in names) is moves
    frozen = [name for name in before if mode == "lora" and ".bias" in name and not name.startswith("segmentation")]
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert all(p.requires_grad for p in model.parameters())


def test_every_part_learns_at_its_own_rate() -> None:
    settings = job(encoder_rate=0.1, decoder_rate=0.3, head_rate=2.0)
    model = build_seeded(settings)
    rates = {id(p): group["share"] for group in open_for_tuning(model, settings) for p in group["params"]}
    for part, rate in (("encoder", 0.1), ("decoder", 0.3), ("segmentation_head", 2.0)):
        assert {rates[id(p)] for p in getattr(model, part).parameters()} == {rate}


def test_a_rate_of_zero_freezes() -> None:
    settings = job(encoder_rate=0.0)
    model = build_seeded(settings)
    opened = {id(p) for group in open_for_tuning(model, settings) for p in group["params"]}
    assert not opened & {id(p) for p in model.encoder.parameters()}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"theta_sha256": "0" * 64}, "SHA-256"),
        ({"size": 64}, "at 32 pixels"),
        ({"model": ModelSpec("Unet", "resnet18")}, "wants Unet with 'resnet18'"),
        ({"model": ModelSpec("Linknet", SMALLEST.encoder)}, "wants Linknet"),
    ],
)
def test_another_theta_than_the_job_names_is_refused(changes: dict, named: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=named):
        check_theta(theta_in(tmp_path), job(**changes))


def test_a_header_that_lies_about_its_classes_is_refused(tmp_path: Path) -> None:
    weights = theta_in(tmp_path).weights
    path = tmp_path / "lying.safetensors"
    save_weights(path, weights, spec=SMALLEST, classes=("catheter",), size=32)
    with pytest.raises(CheckpointError, match=r"not those of Unet .* and 1 classes"):
        load_weights(path)
