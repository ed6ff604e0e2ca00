"""Time what images cost a hospital: preparing them once, the start of the next job, and each gradient step.

    python benchmarks/bench_images.py [--json] [--frames 1000] [--size 256] [--data runs/bench-images]

Frames are made synthetic, as PNG; some are drawn and the others are links to them. Times are processor time of one
thread, the shortest of some repetitions where a step is short. `from memory` is what a job had before: all images and
masks of a split as tensors, of as many frames as --held says. The rows:
    decode, normalise, resize     milliseconds a frame, each step by itself
    prepare                       milliseconds a frame and core, with all steps, hashes and writing
    second job                    seconds until its images can be drawn, and seconds of the first job for comparison
    resident                      what images add to the memory of a process, in MB, after every frame was read once
    step                          milliseconds of a gradient step with batches from the disk and from memory, in turn
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from fedefm.data.dataset import load_site
from fedefm.data.fitted import fit_pair
from fedefm.data.folder import IMAGES, MASKS, list_pairs
from fedefm.data.frames import Batch, Split
from fedefm.data.letterbox import Letterbox, fit_images, fit_masks
from fedefm.data.manifest import FILE_NAME, load_manifest
from fedefm.data.normalise import normalise
from fedefm.data.prepared import FOLDER
from fedefm.data.readers import read_image, read_mask
from fedefm.data.synth.consortium import default_sites, write_consortium
from fedefm.losses.segmentation import segmentation_loss
from fedefm.models.build import ModelSpec, build_model
from fedefm.training.loop import draw_batches
from fedefm.training.optimisation import Optimisation

CLASSES = ("catheter", "guidewire", "vessel")


@dataclass(frozen=True)
class Held:
    """Frames in memory."""

    images: Tensor
    masks: Tensor

    def batch(self, picked: Sequence[int]) -> Batch:
        """Some of them."""
        return self.images[list(picked)], self.masks[list(picked)]


def make_folder(folder: Path, drawn: int, frames: int, side: int) -> Path:
    """A hospital's folder of so many frames, of which `drawn` differ; one that is there is taken as it is."""
    site = folder / f"{frames}-frames"
    if (site / FILE_NAME).is_file():
        return site
    look = dict(list(default_sites().items())[:1])
    [source] = write_consortium(folder / "drawn", sites=look, frames_per_site=drawn, size=side)
    pairs = list_pairs(source)
    for part in (IMAGES, MASKS):
        (site / part).mkdir(parents=True)
    for k in range(frames):
        pair = pairs[k % len(pairs)]
        os.link(pair.image, site / IMAGES / f"p{k // 20:05d}_{k:06d}.png")
        os.link(pair.mask, site / MASKS / f"p{k // 20:05d}_{k:06d}.png")
    plain = json.loads((source / FILE_NAME).read_text())
    plain = {key: plain[key] for key in ("name", "classes", "annotated", "synthetic")}
    (site / FILE_NAME).write_text(json.dumps({**plain, "patients": "^(?P<patient>p[0-9]+)_"}))
    return site


def times_of_steps(site: Path, size: int) -> dict[str, float]:
    """Milliseconds a frame of each step of preparing."""
    manifest, pairs = load_manifest(site), list_pairs(site)[:48]
    images, masks = [read_image(pair.image).frames for pair in pairs], [read_mask(pair.mask) for pair in pairs]
    boxes = [Letterbox(*image.shape[1:], size) for image in images]
    scaled = [normalise(image) for image in images]
    steps: dict[str, Callable[[], Iterable[Any]]] = {
        "decode image": lambda: [read_image(pair.image) for pair in pairs],
        "decode mask": lambda: [read_mask(pair.mask) for pair in pairs],
        "normalise": lambda: [normalise(image) for image in images],
        "resize image": lambda: [fit_images(one, box) for one, box in zip(scaled, boxes, strict=True)],
        "resize mask": lambda: [fit_masks(one.astype("uint8"), box) for one, box in zip(masks, boxes, strict=True)],
        "all of these": lambda: [fit_pair(pair, manifest, size) for pair in pairs],
    }
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(5):
        for name, step in steps.items():  # in turn, so that a busy machine slows all
            start = time.process_time()
            step()
            best[name] = min(best[name], 1e3 * (time.process_time() - start) / len(pairs))
    return best


def first_job(site: Path, size: int, threads: int) -> dict[str, float]:
    """Prepare what is not prepared yet."""
    start, cpu, done = time.perf_counter(), time.process_time(), [0]
    load_site(site, CLASSES, size, threads=threads, progress=lambda *_: done.append(done.pop() + 1))
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {"prepared": done[0], "seconds": seconds, "ms a frame and core": 1e3 * cpu / max(1, done[0])}


def second_job(site: Path, size: int) -> dict[str, float]:
    """Open what is prepared, then read each training frame once in the order of training."""
    before, start = resident(), time.perf_counter()
    data = load_site(site, CLASSES, size)
    opened = time.perf_counter() - start
    batches, most = draw_batches(data.train, Optimisation(batch_size=16, augment=0.0), 0, torch.device("cpu")), 0.0
    start = time.perf_counter()
    for _ in range(-(-len(data.train) // 16)):
        next(batches)
        most = max(most, resident() - before)
    read = (time.perf_counter() - start) / len(data.train)
    return {"seconds": opened, "resident MB": most, "frames read": len(data.train), "ms a frame read": 1e3 * read}


def resident() -> float:
    """Memory of this process in 10^6 bytes, mapped files included."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def times_of_training(site: Path, size: int, held: int, steps: int, model: str, batch: int) -> dict[str, float]:
    """Milliseconds of a gradient step, with batches from the disk and from memory, in turn."""
    train = load_site(site, CLASSES, size).train
    train = train.only(range(min(held, len(train))))
    images, masks = (torch.cat(parts) for parts in zip(*train.batches(), strict=True))
    memory = Split(Held(images, masks), train.labels, train.names, train.patients, train.spacing_mm)
    architecture, _, encoder = model.partition(":")
    network = build_model(ModelSpec(architecture, encoder), len(CLASSES) + 1, size)
    optimiser = torch.optim.AdamW(network.parameters())
    settings, cpu = Optimisation(batch_size=batch), torch.device("cpu")
    sources = {name: draw_batches(split, settings, 0, cpu) for name, split in (("disk", train), ("memory", memory))}
    taken: dict[str, list[float]] = {name: [] for name in sources}
    drawn: dict[str, list[float]] = {name: [] for name in sources}
    for _ in range(steps):
        for name, batches in sources.items():
            start = time.perf_counter()
            images, masks = next(batches)
            drawn[name].append(time.perf_counter() - start)
            optimiser.zero_grad()
            segmentation_loss(network(images), masks, (1, 2, 3)).mean().backward()
            optimiser.step()
            taken[name].append(time.perf_counter() - start)
    found = {f"step from {name}": 1e3 * median(values) for name, values in taken.items()}
    found |= {f"batch from {name}": 1e3 * median(values) for name, values in drawn.items()}
    more = found["batch from disk"] - found["batch from memory"]
    return found | {"slower by %": 100 * more / found["step from memory"]}


def in_new_process(function: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    """Its result where nothing was read before."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def main() -> None:
    """Print a table, or one JSON object with --json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1000, help="of the hospital (default: %(default)s)")
    parser.add_argument("--drawn", type=int, default=48, help="of them that differ (default: %(default)s)")
    parser.add_argument("--side", type=int, default=512, help="of a file's frame (default: %(default)s)")
    parser.add_argument("--size", type=int, default=256, help="of the network's frame (default: %(default)s)")
    parser.add_argument("--held", type=int, default=256, help="frames of the comparison (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=12, help="gradient steps of each kind (default: %(default)s)")
    parser.add_argument("--model", default="Unet:resnet18", help="network of the steps (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="frames of a step (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of preparing (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=Path("runs/bench-images"), help="keeps the frames")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    torch.set_num_threads(1)
    site, size = make_folder(options.data, options.drawn, options.frames, options.side), options.size
    found = {
        "a frame, ms": times_of_steps(site, size),
        "first job": in_new_process(first_job, site, size, options.threads),
        "second job": in_new_process(second_job, site, size),
        "training, ms": times_of_training(site, size, options.held, options.steps, options.model, options.batch),
    }
    records = sum(path.stat().st_size for path in (site / FOLDER).glob("*/records-*.bin"))
    found["on the disk"] = {"MB": records / 1e6, "MB of float32 and int64 in memory": options.frames * size**2 * 12e-6}
    if options.json:
        print(json.dumps(found))
        return
    for title, rows in found.items():
        print(title)
        for name, value in rows.items():
            print(f"  {name:36}{value:12.2f}")


if __name__ == "__main__":
    main()
