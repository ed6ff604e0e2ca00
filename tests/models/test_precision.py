"""What a network in bfloat16 gives, and that nothing of it stays behind."""

import torch
from torch import nn

from fedefm.models.build import build_model, forward_with_features
from fedefm.models.precision import BFLOAT16, FLOAT32, computing_in
from support.small_networks import SMALLEST


def test_bfloat16_is_within_the_network_alone() -> None:
    torch.manual_seed(0)
    model, images = build_model(SMALLEST, 4, 32), torch.randn(2, 1, 32, 32)
    seen: list[torch.dtype] = []
    layer = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    layer.register_forward_hook(lambda module, args, output: seen.append(output.dtype))
    exact = model(images)
    with computing_in(BFLOAT16, model):
        logits, nodes = forward_with_features(model, images, -1)
    assert seen == [torch.float32, torch.bfloat16]
    assert logits.dtype == nodes.dtype == torch.float32
    assert not torch.equal(logits, exact)
    torch.testing.assert_close(logits, exact, rtol=0.1, atol=0.1)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert torch.equal(model(images), exact)


def test_float32_changes_nothing_and_an_error_leaves_nothing_behind() -> None:
    model, images = build_model(SMALLEST, 4, 32), torch.randn(1, 1, 32, 32)
    exact = model(images)
    with computing_in(FLOAT32, model):
        assert torch.equal(model(images), exact)
    try:
        with computing_in(BFLOAT16, model):
            raise RuntimeError
    except RuntimeError:
        assert torch.equal(model(images), exact)


def test_with_channels_last_the_answers_are_the_same_and_the_weights_stay_so() -> None:
    torch.manual_seed(0)
    model, images = build_model(SMALLEST, 4, 32), torch.randn(2, 1, 32, 32)
    exact = model(images)
    with computing_in(FLOAT32, model, channels_last=True):
        torch.testing.assert_close(model(images), exact, rtol=1e-4, atol=1e-5)
    wide = [p for p in model.parameters() if p.ndim == 4 and min(p.shape[1:]) > 1]
    assert wide and all(p.is_contiguous(memory_format=torch.channels_last) for p in wide)
    assert "forward" not in vars(model)
