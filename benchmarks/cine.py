"""The catheter on a real coronary cine, with a Theta of hospitals that have never seen it.

    python -m benchmarks.cine --real FOLDER --out runs/cine              trains for half an hour or more, then measures
    python -m benchmarks.cine --real FOLDER --out runs/cine --model theta.safetensors

FOLDER holds `arcade/images`, `arcade_devices/masks` and `xa_dicom/xa_rubo_demo_96frames_jpegbaseline.dcm`. Two
hospitals share ARCADE's frames out (one fold of the benchmark's, both label both classes), and train Theta from random
weights. The cine is of neither. Where its catheter lies was marked by eye: a line of four points, from where it enters
the picture to where it begins to bend; it moves by less than the tolerance over the run.

    found      frames in which at least half of that line has a mark of catheter within 12 pixels
    length     share of the line that is marked, over the frames
    near       share of all marks of catheter that lie within 25 pixels of the catheter
    border     frames with a piece of catheter that lies wholly within 16 pixels of the picture's edge, and not wholly
               within 12 pixels of where the catheter comes in
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.fixed.devices import CLASSES, write_devices
from jaxtyping import Bool
from scipy import ndimage

from fedefm.data.readers import read_frames
from fedefm.federation.rehearsal import theta_of
from fedefm.files import write_json
from fedefm.foundation.initial import with_start_named
from fedefm.foundation.methods import job_settings
from fedefm.foundation.run import run_in_process
from fedefm.foundation.settings import Settings
from fedefm.inference.predict import label_frames, load_network
from fedefm.inference.source import open_run
from fedefm.models.checkpoint import THETA_FILE, load_weights, save_weights

RUN = Path("xa_dicom/xa_rubo_demo_96frames_jpegbaseline.dcm")
HOSPITALS = {"hospital-a": "catheter", "hospital-b": "vessel"}
SHAFT = ((259, 10), (253, 40), (246, 80), (237, 105))
"""x and y in pixels of the straight part of the catheter."""
BEND = ((259, 0), (253, 40), (246, 80), (237, 105), (220, 135), (200, 150))
"""The same with the part that bends into the ostium, where contrast hides its end."""
WITHIN, NEAR, EDGE, HALF = 12, 25, 16, 0.5
ROUNDS = (20, 12)
"""Of the first run, and of a second one that starts from its Theta, with the learning rate at its peak again."""


def settings(run: int) -> Settings:
    """A small network at 256 pixels, turns of mostly supervised steps: both hospitals label both classes."""
    job = job_settings().to_dict()
    job |= {"classes": list(CLASSES), "size": 256}
    job["model"] = {
        "architecture": "Unet",
        "encoder": "tu-mobilenetv3_small_100",
        "options": {"decoder_channels": [96, 64, 48, 32, 16]},
    }
    job["optimisation"] |= {"orientation": "upright"}
    steps = {"rounds": ROUNDS[run], "local_steps": 60, "overseas_steps": 1, "distil_steps": 10, "compare_lone": False}
    job["schedule"] |= steps | {"min_sites": 2, "seed": run}
    return Settings.from_dict(job)


def train(real: Path, out: Path) -> Path:
    """Theta of the two hospitals; what a run that was stopped has done is kept."""
    folders, theta = write_devices(out / "hospitals", real, HOSPITALS, 0, 0), None
    for number in range(len(ROUNDS)):
        job, place = settings(number), out / f"run-{number + 1}"
        if not (place / THETA_FILE).is_file():
            named = with_start_named(job, theta)
            found = run_in_process(named, folders, [print], theta=theta, keep=place / "rounds").state.theta
            save_weights(place / THETA_FILE, theta_of(found), spec=job.model, classes=job.classes, size=job.size)
        theta = load_weights(place / THETA_FILE)
    return place / THETA_FILE


def measure(model: Path, run: Path) -> dict[str, Any]:
    """Figures of the cine."""
    frames, network = open_run(run), load_network(model, "cpu")
    edge = _edge(run)
    close, entrance = (_corridor(edge.shape, width) for width in (NEAR, WITHIN))
    lengths, near, border = [], [], []
    for frame in label_frames(network, frames.frames(), 4):
        catheter = frame.labels == 1 + network.checkpoint.classes.index(CLASSES[0])
        lengths.append(_length(catheter))
        near.append(float(catheter[close].sum() / max(1, catheter.sum())))
        border.append(_on_border(catheter, edge, entrance))
    return {
        "frames": len(lengths),
        "found": sum(length >= HALF for length in lengths),
        "length": _spread(lengths),
        "near": _spread(near),
        "border": sum(border),
        "border_frames": [number for number, one in enumerate(border, 1) if one],
        "theta_sha256": network.checkpoint.sha256,
    }


def _length(catheter: Bool[np.ndarray, "h w"]) -> float:
    xs, ys = _points(SHAFT)
    return float(np.mean([catheter[y, x - WITHIN : x + WITHIN + 1].any() for x, y in zip(xs, ys, strict=True)]))


def _points(line: tuple[tuple[int, int], ...]) -> tuple[np.ndarray, np.ndarray]:
    """A pixel of the line in every row."""
    ys = np.arange(line[0][1], line[-1][1] + 1)
    return np.interp(ys, [y for _, y in line], [x for x, _ in line]).round().astype(int), ys


def _corridor(shape: tuple[int, ...], width: int) -> Bool[np.ndarray, "h w"]:
    far = np.ones(shape, bool)
    xs, ys = _points(BEND)
    far[ys, xs] = False
    return np.asarray(ndimage.distance_transform_edt(far) <= width)


def _edge(run: Path) -> Bool[np.ndarray, "h w"]:
    """Pixels close to where the picture ends: the edge of the frame, and of a shutter that is dark in all frames."""
    brightest = np.max(list(read_frames(open_run(run).files[0])), axis=0)
    picture = brightest >= 12 / 255 * brightest.max()
    return np.asarray(picture & ~ndimage.binary_erosion(picture, iterations=EDGE, border_value=0))


def _on_border(
    catheter: Bool[np.ndarray, "h w"], edge: Bool[np.ndarray, "h w"], entrance: Bool[np.ndarray, "h w"]
) -> bool:
    numbers, count = ndimage.label(catheter)
    at_edge = set(range(1, count + 1)) - set(np.unique(numbers[~edge]).tolist())
    return any((numbers[~entrance] == number).any() for number in at_edge)


def _spread(values: list[float]) -> dict[str, float]:
    return {name: float(np.quantile(values, at)) for name, at in (("lowest", 0), ("median", 0.5), ("highest", 1))}


def table(found: Mapping[str, Any]) -> str:
    """The figures in words."""
    length, near = found["length"], found["near"]
    return "\n".join(
        [
            f"found   {found['found']} of {found['frames']} frames",
            f"length  {length['median']:.0%} of the catheter, {length['lowest']:.0%} in the worst frame",
            f"near    {near['median']:.0%} of the marks, {near['lowest']:.0%} in the worst frame",
            f"border  {found['border']} of {found['frames']} frames {found['border_frames'] or ''}",
            f"Theta   {found['theta_sha256']}",
        ]
    )


def main() -> None:
    """Train if there is no Theta, then measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True, metavar="FOLDER", help="with the real images")
    parser.add_argument("--out", type=Path, default=Path("runs/cine"), help="hospitals, Theta and figures")
    parser.add_argument("--model", type=Path, help="measure these weights (default: train)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    model = options.model or train(options.real, options.out)
    found = measure(model, options.real / RUN)
    write_json(options.out / "cine.json", found)
    print(json.dumps(found, indent=2) if options.json else table(found))


if __name__ == "__main__":
    main()
