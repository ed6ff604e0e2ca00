"""How close two masses on one image are, by an Earth Mover's Distance with one price for all that is far or missing."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fedefm.errors import OptimalTransportError
from fedefm.maths.transport import emd

CELLS = 32
"""Cells a side of the grid on which masses are moved: at most 1024 nodes, and few of them hold a thin device."""

REACH = 1 / 16
"""Distance, in sides of the image, beyond which all mass counts as equally far: two cells."""


@torch.no_grad()
def mass_similarity(a: Float[Tensor, "h w"], b: Float[Tensor, "h w"]) -> float:
    """Similarity 1 - D / (REACH max(sum a, sum b)) of two masses, in [0, 1]; 1 means the same cells hold the same mass.

    D moves `a` onto `b` at the cost of the distance between cells, in sides of the image and at most `REACH`, and pays
    `REACH` for what one of them has more: unlike the plain distance, which divides both by their sum, it tells a silent
    network from a sure one, and a mask beside its device is as wrong as one at the other end of the image.

    Args:
        a: (H,W) masses that are not negative, in pixels; sides that `CELLS` divides, or smaller than it.
        b: (H,W) the same.

    Returns:
        0 where only one of them holds mass, 1 where neither does.

    Raises:
        OptimalTransportError: the shapes differ, or no grid of cells fits.

    Source: EMD-hat with a thresholded ground distance (Pele and Werman, Fast and Robust Earth Mover's Distances, 2009).
    """
    if a.shape != b.shape or a.ndim != 2:
        raise OptimalTransportError(f"masses {tuple(a.shape)} and {tuple(b.shape)}: give two images of one size")
    (at, mass), (to, wanted) = _nodes(a), _nodes(b)
    if not len(mass) or not len(wanted):
        return float(len(mass) == len(wanted))
    cost = torch.cdist(at, to).clamp_max(REACH)
    more = float(mass.sum() - wanted.sum())
    if more > 0:
        wanted, cost = torch.cat([wanted, wanted.new_tensor([more])]), F.pad(cost, (0, 1), value=REACH)
    elif more < 0:
        mass, cost = torch.cat([mass, mass.new_tensor([-more])]), F.pad(cost, (0, 0, 0, 1), value=REACH)
    similarity = 1 - float(emd(cost[None], mass[None], wanted[None])) / REACH
    return min(max(similarity, 0.0), 1.0)  # rounding may leave [0, 1], and the server refuses such a share


def _nodes(mass: Float[Tensor, "h w"]) -> tuple[Float[Tensor, "n 2"], Float[Tensor, " n"]]:
    """Centres of the cells that hold mass, in sides of the image, and how much, in float64."""
    height, width = (min(CELLS, side) for side in mass.shape)
    if mass.shape[0] % height or mass.shape[1] % width:
        raise OptimalTransportError(f"masses {tuple(mass.shape)}: {CELLS} cells a side do not fit; give another size")
    cells = mass.double().reshape(height, mass.shape[0] // height, width, mass.shape[1] // width).sum((1, 3))
    at = cells.nonzero()
    return (at + 0.5) / cells.new_tensor([height, width]), cells[at[:, 0], at[:, 1]]
