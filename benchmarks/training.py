"""Time a gradient step in float32 and bfloat16, with channels first and last, and say what share of the device it uses.

    python -m benchmarks.training [--device cpu] [--threads 1] [--size 224] [--batch 4] [--json]

A step is what a hospital's training does: the network of a job forward and backward, its loss, AdamW. Multiplications
of the network are counted (`torch.utils.flop_counter`: a multiplication with its addition is two operations), and held
against the rate of one large matrix product in the same precision on the same device, which is about the best that it
can do. The shortest of some steps counts.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from benchmarks.fixed.run import processor
from benchmarks.fixed.tables import markdown
from torch.utils.flop_counter import FlopCounterMode

from fedefm.losses.segmentation import segmentation_loss
from fedefm.models.build import build_model
from fedefm.models.precision import BFLOAT16, FLOAT32, PRECISIONS, computing_in
from fedefm.models.spec import ModelSpec

NETWORKS: Mapping[str, ModelSpec] = {
    "Unet:resnet34": ModelSpec("Unet", "resnet34"),
    "DPT:tu-vit_base_patch16_224": ModelSpec("DPT", "tu-vit_base_patch16_224"),
}
CHANNELS, SIDE, REPEATS = 4, 2048, 3
DTYPES = {FLOAT32: torch.float32, BFLOAT16: torch.bfloat16}


def shortest(work: Callable[[], object], device: torch.device, repeats: int = REPEATS) -> float:
    """Seconds of the fastest of some repetitions; the first is not counted."""
    took = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        took.append(time.perf_counter() - begin)
    return min(took[1:])


def matrix_rate(precision: str, device: torch.device) -> float:
    """Operations a second of a product of two square matrices."""
    one, other = (torch.randn(SIDE, SIDE, device=device, dtype=DTYPES[precision]) for _ in range(2))
    return 2 * SIDE**3 / shortest(lambda: one @ other, device)


def measure(name: str, precision: str, last: bool, size: int, batch: int, device: torch.device) -> dict[str, Any]:
    """One row: a network's step in one precision and order of channels."""
    torch.manual_seed(0)
    model = build_model(NETWORKS[name], CHANNELS, size).to(device).train()
    images = torch.randn(batch, 1, size, size).to(device)
    masks, optimiser = torch.randint(0, CHANNELS, (batch, size, size)).to(device), torch.optim.AdamW(model.parameters())

    def loss() -> torch.Tensor:
        with computing_in(precision, model, channels_last=last):
            return segmentation_loss(model(images), masks, range(1, CHANNELS)).mean()

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        loss().backward()
        optimiser.step()

    with FlopCounterMode(display=False) as counter:
        loss().backward()
    seconds, rate = shortest(step, device), matrix_rate(precision, device)
    return {
        "network": name,
        "precision": precision,
        "channels_last": last,
        "ms": 1e3 * seconds,
        "gflops": counter.get_total_flops() / 1e9,
        "share": counter.get_total_flops() / seconds / rate,
        "matrix_gflops": rate / 1e9,
    }


def rows(size: int, batch: int, device: torch.device) -> Iterator[dict[str, Any]]:
    """All of them, as they are measured."""
    for name in NETWORKS:
        for precision in PRECISIONS:
            for last in (False, True):
                yield measure(name, precision, last, size, batch, device)


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """As Markdown."""
    head = ["network", "precision", "channels", "ms a step", "share of the matrix rate"]
    return markdown(
        head,
        [
            [
                one["network"],
                one["precision"],
                "last" if one["channels_last"] else "first",
                f"{one['ms']:.0f}",
                f"{100 * one['share']:.0f} % of {one['matrix_gflops']:.0f} Gflop/s",
            ]
            for one in found
        ],
    )


def main() -> None:
    """Measure, then print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="torch device (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: %(default)s)")
    parser.add_argument("--size", type=int, default=224, help="side of the images in pixels (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="images in a step (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = list(rows(options.size, options.batch, torch.device(options.device)))
    machine = {"processor": processor(), "threads": options.threads, "torch": torch.__version__}
    print(json.dumps({"machine": machine, "rows": found}, indent=2) if options.json else f"{machine}\n{table(found)}")


if __name__ == "__main__":
    main()
