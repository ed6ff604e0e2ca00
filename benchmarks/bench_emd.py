"""Time the Earth Mover's Distance against what it is built on.

    python benchmarks/bench_emd.py [--json] [--nodes 64 144 196] [--threads 1]

Each row times three things, forward and backward, on the same random ReLU features, one after the other in turn, and
keeps the shortest time of each (other load on the machine only ever adds time):
    floor      cost matrix and node weights alone
    fedefm     `emd_similarity`: cost, weights and exact transport
    POT        the same cost and weights, then `ot.emd2` for each image
"""

import argparse
import json
import time
from collections.abc import Callable

import ot
import torch
from torch import Tensor

from fedefm.maths import cosine_cost, emd_similarity, node_weights


def floor(u: Tensor, v: Tensor) -> Tensor:
    """Cost and weights, each with a gradient to send back."""
    a, b = node_weights(u, v)
    return cosine_cost(u, v).sum() + a.sum() + b.sum()


def fedefm(u: Tensor, v: Tensor) -> Tensor:
    """Similarity of this package."""
    return emd_similarity(u, v).sum()


def pot(u: Tensor, v: Tensor) -> Tensor:
    """Similarity by POT's differentiable `emd2`, which takes one problem at a time."""
    cost, (a, b) = cosine_cost(u, v), node_weights(u, v)
    a, b = (w / w.sum(dim=1, keepdim=True) for w in (a, b))
    return sum(1 - ot.emd2(a[i], b[i], cost[i]) for i in range(len(cost)))


def features(batch: int, nodes: int, channels: int) -> tuple[Tensor, Tensor]:
    """Two random maps of nodes, as after a ReLU."""
    generator = torch.Generator().manual_seed(nodes)
    u, v = torch.randn(2, batch, nodes, channels, generator=generator).relu()
    return u.requires_grad_(), v.requires_grad_()


def best_times(functions: list[Callable[[Tensor, Tensor], Tensor]], u: Tensor, v: Tensor, budget: float) -> list[float]:
    """Shortest forward and backward time of each in seconds; they take turns until `budget` seconds are spent."""
    best = [float("inf")] * len(functions)
    end = time.perf_counter() + budget
    while time.perf_counter() < end or max(best) == float("inf"):
        for k, function in enumerate(functions):
            u.grad = v.grad = None
            start = time.perf_counter()
            function(u, v).backward()
            best[k] = min(best[k], time.perf_counter() - start)
    return best


def measure(nodes: int, threads: int, options: argparse.Namespace) -> dict[str, float]:
    """One row of the table, times in milliseconds."""
    torch.set_num_threads(threads)
    u, v = features(options.batch, nodes, options.channels)
    best_times([floor, fedefm, pot], u, v, budget=0.0)
    base, ours, theirs = (1e3 * t for t in best_times([floor, fedefm, pot], u, v, options.seconds))
    row = {"threads": threads, "nodes": nodes, "floor_ms": base, "fedefm_ms": ours, "pot_ms": theirs}
    return row | {"fedefm_to_floor": ours / base, "pot_to_fedefm": theirs / ours}


def main() -> None:
    """Print a table, or JSON lines with --json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[64, 144, 196], help="nodes of a feature map")
    parser.add_argument("--batch", type=int, default=16, help="images")
    parser.add_argument("--channels", type=int, default=512, help="features of a node")
    parser.add_argument("--threads", type=int, nargs="+", default=[torch.get_num_threads(), 1], help="CPU threads")
    parser.add_argument("--seconds", type=float, default=6.0, help="time to spend on a row")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    options = parser.parse_args()
    heading = True
    for threads in dict.fromkeys(options.threads):
        for nodes in options.nodes:
            row = measure(nodes, threads, options)
            if options.json:
                print(json.dumps(row))
                continue
            if heading:
                print("  ".join(f"{name:>15}" for name in row))
                heading = False
            print("  ".join(f"{value:15.2f}" if isinstance(value, float) else f"{value:15d}" for value in row.values()))


if __name__ == "__main__":
    main()
