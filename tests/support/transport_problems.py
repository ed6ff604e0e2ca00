"""Random problems and an independent solver, shared by the tests of this folder."""

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor


def random_problem(seed: int, batch: int, n: int, m: int) -> tuple[Tensor, Tensor, Tensor]:
    """Cost in [0, 1] and raw weights that are positive, float64."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((batch, n, m), (batch, n), (batch, m))
    cost, a, b = (torch.rand(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return cost, 0.1 + a, 0.1 + 3 * b


def random_features(seed: int, batch: int, n: int, m: int, channels: int) -> tuple[Tensor, Tensor]:
    """Positive features, float64."""
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand((batch, n, channels), generator=generator, dtype=torch.float64)
    v = torch.rand((batch, m, channels), generator=generator, dtype=torch.float64)
    return 0.05 + u, 0.05 + v


def highs_value(cost: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """Value of one problem by HiGHS, an independent linear programming solver."""
    n, m = cost.shape
    rows = np.kron(np.eye(n), np.ones(m))
    columns = np.kron(np.ones(n), np.eye(m))
    result = linprog(
        cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([a / a.sum(), b / b.sum()]), method="highs"
    )
    assert result.status == 0, result.message
    return float(result.fun)
