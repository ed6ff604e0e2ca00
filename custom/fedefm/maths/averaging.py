"""Averages of networks' weights that do not depend on the order in which they arrive."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from fedefm.errors import ConfigError, ProtocolError
from fedefm.maths.computed import Computed

State = Mapping[str, Tensor]


def weighted_mean(states: Mapping[str, State], weights: Mapping[str, float | int] | None = None) -> dict[str, Tensor]:
    """`mean_of` with all its tensors in memory."""
    return dict(mean_of(states, weights))


def mean_of(states: Mapping[str, State], weights: Mapping[str, float | int] | None = None) -> Computed:
    """Mean sum_k w_k theta_k / sum_k w_k of the silos' state dicts.

    Summed in float64 in the order of the silos' names, so the result does not depend on who came first, not even in
    the last bit. Each tensor keeps its dtype. Integer and boolean tensors have no mean: they must be equal everywhere.

    Args:
        states: for each silo its name and its state dict; keys, shapes and dtypes are the same for all.
        weights: for each silo a weight that is not negative; equal when None.

    Returns:
        New tensors, each computed when it is asked for, on the devices of the first silo by name.

    Raises:
        ProtocolError: no state; a silo whose keys, shapes, dtypes or integers differ or whose tensors are not finite;
            weights that do not name the same silos, are negative or not finite, or sum to zero.
    """
    if not states:
        raise ProtocolError("no silo sent weights: wait for at least one before averaging")
    names = sorted(states)
    shares = _shares(names, weights)
    first = states[names[0]]
    for name in names:
        _check_alike(name, states[name], names[0], first)
    return Computed(first, lambda key: _mean((states[name][key] for name in names), shares))


def interpolate(a: State, b: State, t: float | int) -> dict[str, Tensor]:
    """`between` with all its tensors in memory."""
    return dict(between(a, b, t))


def between(a: State, b: State, t: float | int) -> Computed:
    """Tensors (1 - t) a + t b, computed in float64, in the dtypes and on the devices of `a`.

    t = 0 gives the bits of a, t = 1 those of b, t above 1 goes on beyond b. Except at 0 and 1, integer and boolean
    tensors must be equal.

    Raises:
        ConfigError: t is negative or not finite.
        ProtocolError: keys, shapes, dtypes or integers differ.
    """
    if not 0 <= t < math.inf:
        raise ConfigError(f"t is {t}: choose a finite value of at least 0")
    _check_layout("b", b, "a", a)
    if t in (0, 1):
        source = b if t else a
        return Computed(a, lambda key: source[key].detach().to(a[key].device, copy=True))
    for key in a:
        tensor = a[key]
        _check_values("a", key, tensor, tensor)
        _check_values("b", key, b[key], tensor)
    return Computed(a, lambda key: _mean((one[key] for one in (a, b)), [1 - t, t]))


def linear_combination(states: Mapping[str, State], factors: Mapping[str, float]) -> dict[str, Tensor]:
    """`sum_of` with all its tensors in memory."""
    return dict(sum_of(states, factors))


def sum_of(states: Mapping[str, State], factors: Mapping[str, float]) -> Computed:
    """Sum_k f_k theta_k, summed in float64 in the order of the names; factors may be negative.

    Integer and boolean tensors must be equal everywhere and stay as they are.

    Args:
        states: state dicts by name; keys, shapes and dtypes are the same for all.
        factors: one finite factor for each name.

    Raises:
        ConfigError: the factors do not name the states, or one is not finite.
        ProtocolError: no state, or states that differ in layout or are not finite.
    """
    if not states:
        raise ProtocolError("no weights to combine: give at least one set")
    if set(states) != set(factors) or not all(math.isfinite(factor) for factor in factors.values()):
        raise ConfigError(f"factors for {sorted(states)}: give one finite factor for each")
    names = sorted(states)
    first = states[names[0]]
    for name in names:
        _check_alike(name, states[name], names[0], first)
    return Computed(first, lambda key: _sum((states[name][key] for name in names), [factors[name] for name in names]))


def _shares(names: list[str], weights: Mapping[str, float | int] | None) -> list[float]:
    weights = dict.fromkeys(names, 1.0) if weights is None else weights
    for name in sorted(set(names) ^ set(weights)):
        raise ProtocolError(f"silo {name!r} has {'no weight' if name in names else 'a weight but no state'}: give both")
    for name in names:
        if not (math.isfinite(weights[name]) and weights[name] >= 0):
            raise ProtocolError(f"silo {name!r} has weight {weights[name]}: give a finite one that is not negative")
    if not 0 < math.fsum(weights[name] for name in names) < math.inf:
        raise ProtocolError(f"the weights of silos {names} sum to zero or overflow: give one a positive weight")
    return [float(weights[name]) for name in names]


def _check_alike(name: str, state: State, reference: str, expected: State) -> None:
    _check_layout(name, state, reference, expected)
    for key, tensor in state.items():
        _check_values(name, key, tensor, expected[key])


def _check_layout(name: str, state: State, reference: str, expected: State) -> None:
    for key in sorted(set(state) ^ set(expected)):
        verb = "lacks" if key in expected else "has an extra"
        raise ProtocolError(f"silo {name!r} {verb} tensor {key!r} compared with {reference!r}: use one architecture")
    for key, tensor in state.items():
        have, want = (tuple(tensor.shape), tensor.dtype), (tuple(expected[key].shape), expected[key].dtype)
        if have != want:
            raise ProtocolError(f"silo {name!r}: tensor {key!r} is {have}, but {want} at {reference!r}")


def _check_values(name: str, key: str, tensor: Tensor, expected: Tensor) -> None:
    if not _averages(tensor):
        if not torch.equal(tensor, expected.to(tensor.device)):
            raise ProtocolError(f"silo {name!r}: integers of tensor {key!r} differ and have no mean: leave it at home")
    elif not torch.isfinite(tensor).all():
        raise ProtocolError(f"silo {name!r}: tensor {key!r} holds a NaN or infinite value: exclude this silo")


def _mean(tensors: Iterable[Tensor], shares: list[float]) -> Tensor:
    return _sum(tensors, shares, math.fsum(shares))


def _sum(tensors: Iterable[Tensor], factors: list[float], divisor: float = 1.0) -> Tensor:
    """Takes one tensor after another, so that no two of them need be in memory."""
    total, dtype = None, torch.float64
    for tensor, factor in zip(tensors, factors, strict=True):
        if total is None:
            if not _averages(tensor):
                return tensor.detach().clone()
            total, dtype = torch.zeros_like(tensor.detach(), dtype=torch.float64), tensor.dtype
        total.add_(tensor.detach().to(total.device, torch.float64), alpha=factor)
    if total is None:
        raise ProtocolError("no weights to combine: give at least one set")
    return total.div_(divisor).to(dtype)


def _averages(tensor: Tensor) -> bool:
    return tensor.is_floating_point()
