"""What may be said against weights: bounds against brute force and against real training."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fedefm.training import doubt

RATES = [1e-3, 2e-3, 2e-3, 1e-3]
SENT = {"weight": torch.tensor([0.5, -0.2, 0.0]), "count": torch.tensor([3])}


@given(st.integers(1, 40), st.lists(st.floats(-1, 1), min_size=40, max_size=40))
@settings(max_examples=60, deadline=None)
def test_no_gradients_move_adamw_further(step: int, gradients: list[float]) -> None:
    """|m_t| / sqrt(v_t) for any gradients."""
    m = v = 0.0
    for g in gradients[:step]:
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    m, v = m / (1 - 0.9**step), v / (1 - 0.999**step)
    assert abs(m) <= doubt.steepest(step) * math.sqrt(v) + 1e-12


@pytest.mark.parametrize("step", [1, 2, 5, 30])
def test_the_bound_is_reached_by_the_worst_gradients(step: int) -> None:
    worst = [(0.9 / 0.999) ** (step - 1 - i) for i in range(step)]
    m = v = 0.0
    for g in worst:
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    m, v = m / (1 - 0.9**step), v / (1 - 0.999**step)
    assert m / math.sqrt(v) == pytest.approx(doubt.steepest(step))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_training_is_never_beyond_reach(scale: float) -> None:
    """Real steps of torch's AdamW on wild gradients."""
    torch.manual_seed(0)
    model = nn.Linear(20, 20)
    sent = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=1e-2)
    for number, rate in enumerate(RATES * 5):
        optimiser.param_groups[0]["lr"] = rate
        for p in model.parameters():
            p.grad = torch.randn_like(p) * scale * 10.0 ** (number % 4)
        optimiser.step()
    assert doubt.beyond_reach(sent, model.state_dict(), RATES * 5, 1e-2) is None


def times(factor: float) -> dict[str, torch.Tensor]:
    return {"weight": SENT["weight"] * factor, "count": SENT["count"]}


@pytest.mark.parametrize("factor", [-1.0, 0.0, 20.0])
def test_negated_dead_and_scaled_weights_are_beyond_reach(factor: float) -> None:
    reason = doubt.beyond_reach(SENT, times(factor), RATES, 1e-4)
    assert reason is not None and "'weight' moved" in reason and "4 steps" in reason


def test_whole_numbers_must_stay() -> None:
    assert "whole numbers" in (doubt.beyond_reach(SENT, {**SENT, "count": torch.tensor([4])}, RATES, 0.0) or "")


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({}, "missing or additional"),
        ([1.0], "missing or additional"),
        ({**SENT, "weight": torch.zeros(4)}, "another shape"),
        ({**SENT, "weight": SENT["weight"].double()}, "another shape or dtype"),
        ({**SENT, "weight": torch.tensor([0.0, math.nan, 0.0])}, "NaN"),
        ({**SENT, "weight": torch.tensor([0.0, -math.inf, 0.0])}, "NaN"),
        ({**SENT, "weight": torch.tensor([0.0, -2e4, 0.0])}, "beyond 10000"),
        ({**SENT, "weight": "x"}, "else than tensors"),
    ],
)
def test_weights_that_fit_no_network_are_refused(weights: object, words: str) -> None:
    assert words in (doubt.misfit(weights, doubt.schema_of(SENT)) or "")


def test_weights_that_fit_are_taken() -> None:
    assert doubt.misfit(SENT, doubt.schema_of(SENT)) is None
