"""What can be said against a peer's weights before anybody works with them.

Plain functions on state dicts; server, host and student call the same ones. Each gives the reason in a few words, or
None. A peer's weights are refused for what no honest training could have made of what the peer was sent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from fedefm.maths.half import ROUNDING, SMALLEST
from fedefm.models.build import Weights
from fedefm.models.schema import misfit, schema_of

__all__ = ["beyond_reach", "misfit", "schema_of", "steepest"]

BETAS = (0.9, 0.999)  # of AdamW, torch's defaults, which every training task uses
SLACK = 1.05  # of a bound that is exact in real numbers: rounding in float32 over a task's steps stays far below

NOISE_SPAN = 8.0  # standard deviations; of 10^9 normal weights one passes it once in 10^6 times


def beyond_reach(
    sent: Weights,
    returned: Weights,
    rates: Sequence[float],
    weight_decay: float,
    correction: Weights | None = None,
    noise: float = 0.0,
    *,
    half: bool = False,
) -> str | None:
    """Why no training with these learning rates can have led from one to the other.

    A step of AdamW from a fresh optimiser moves a weight w by at most lr (r_t + decay |w|), whatever the gradients:
    r_t = sup |m_t| / sqrt(v_t) = sqrt(sum_i a_i^2 / b_i) by Cauchy and Schwarz, where a_i and b_i are the
    bias-corrected shares of the gradient of step i in the two moments. So the sum over the steps bounds every weight,
    and what passes it was not trained: weights that are negated, set to zero, or scaled.

    Args:
        sent: what the peer was sent.
        returned: what came back, of the same schema.
        rates: learning rate of every step.
        weight_decay: of AdamW.
        correction: SCAFFOLD's, which joins each step times its learning rate.
        noise: standard deviation of normal noise that the peer may have added to each weight.
        half: what came back was rounded to half precision.
    """
    reach = SLACK * sum(rate * steepest(step) for step, rate in enumerate(rates, 1))
    shrink = SLACK * weight_decay * math.fsum(rates)
    for name, value in returned.items():
        start = sent[name]  # once: it may be a mean that is computed now
        if not value.is_floating_point():
            if not torch.equal(value, start):
                return f"tensor '{name}' of whole numbers was changed"
            continue
        moved, allowed = (value - start).abs(), reach + shrink * (start.abs() + reach) + NOISE_SPAN * noise
        if correction is not None:
            allowed = allowed + SLACK * math.fsum(rates) * correction[name].abs()
        if half:
            allowed = allowed + ROUNDING * value.abs() * SLACK + SMALLEST
        if bool((moved > allowed).any()):
            times = float((moved / allowed).max())
            return f"tensor '{name}' moved {times:.3g} times as far as {len(rates)} steps can move it"
    return None


def steepest(step: int) -> float:
    """Greatest ratio of AdamW's moments, |m_t| / sqrt(v_t), over all gradients; 1 at the first step."""
    one, two = BETAS
    first, second = (1 - one) / (1 - one**step), (1 - two) / (1 - two**step)
    fall = one * one / two  # from one gradient to the one before it: a geometric series
    return math.sqrt(first * first / second * (1 - fall**step) / (1 - fall))
