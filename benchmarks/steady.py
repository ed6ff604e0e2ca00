"""Whether `fedefm segment --steady` pays: Dice, tip error, flicker and tip jitter of films with true masks.

    python -m benchmarks.steady --model runs/demo/theta.safetensors
    python -m benchmarks.steady --model runs/demo/theta.safetensors --films 40 --step 4

A film is a window that slides over one large synthetic frame, as a table moves, so that its truth is known to the
pixel; each frame has noise of its own. Differences are steady less plain, with a 95 % bootstrap interval over films.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, median

import numpy as np
from jaxtyping import Float32, UInt8

from fedefm.data.synth.frame import render
from fedefm.data.synth.looks import CLASSES, LOOKS
from fedefm.inference.predict import Labelled, Network, label_frames, load_network
from fedefm.inference.scale import Scale, survey
from fedefm.inference.tips import devices, find_tips
from fedefm.metrics import Tip, tip_distance
from fedefm.metrics.bootstrap import bootstrap_mean
from fedefm.metrics.overlap import dice
from fedefm.metrics.steadiness import Steadiness

SIDE, LARGE, NOISE, FIRST_SEED = 192, 256, 4.0, 5000  # pixels; grey values of 8 bits; no seed of training data
Film = tuple[list[Float32[np.ndarray, "h w"]], list[UInt8[np.ndarray, "h w"]]]


def film(look: str, seed: int, frames: int, step: float) -> Film:
    """Frames and their masks; the window moves on a circle, `step` pixels a frame."""
    scene, rng = render(look, LARGE, seed), np.random.default_rng([seed, 1])
    room = (LARGE - SIDE) / 2
    images, masks = [], []
    for k in range(frames):
        turn = k * step / room
        top, left = (round(room * (1 + part)) for part in (np.sin(turn), np.cos(turn)))
        window = slice(top, top + SIDE), slice(left, left + SIDE)
        images.append((scene.image[window] + rng.normal(0, NOISE, (SIDE, SIDE))).clip(0, 255).astype(np.float32))
        masks.append(scene.mask[window])
    return images, masks


def figures(network: Network, made: Film, *, steady: bool) -> dict[str, float | None]:
    """What one film gives."""
    images, masks = made
    scale = survey(images)
    scaled: Iterator[tuple[Float32[np.ndarray, "h w"], Scale]] = ((image, scale) for image in images)
    found = list(label_frames(network, scaled, 4, steady=steady))
    true = [Labelled(k, image.astype(np.uint8), mask) for k, (image, mask) in enumerate(zip(*made, strict=True), 1)]
    marked, truth = (_tips(frames) for frames in (found, true))
    ours, theirs = (_steadiness(frames, tips) for frames, tips in ((found, marked), (true, truth)))
    named = devices(CLASSES)
    overlaps = [
        dice(frame.labels == label, mask == label)
        for frame, mask in zip(found, masks, strict=True)
        for label in range(1, len(CLASSES) + 1)
        if (mask == label).any()
    ]
    errors = [
        error
        for one, other in zip(marked, truth, strict=True)
        for name in named
        if (error := tip_distance(one.get(name), other.get(name))) is not None
    ]
    return {
        "Dice": fmean(overlaps) if overlaps else None,
        "tip error, px": median(errors) if errors else None,
        "flicker": _mean(ours.flicker),
        "flicker of the truth": _mean(theirs.flicker),
        "tip jitter, px": _mean(ours.tip_jitter_px),
        "tip jitter of the truth, px": _mean(theirs.tip_jitter_px),
    }


def _tips(frames: list[Labelled]) -> list[dict[str, Tip]]:
    return [find_tips(frame, CLASSES, devices(CLASSES)) for frame in frames]


def _steadiness(frames: list[Labelled], tips: list[dict[str, Tip]]) -> Steadiness:
    found = Steadiness(CLASSES, devices(CLASSES))
    for frame, tip in zip(frames, tips, strict=True):
        found.add(frame.labels, tip)
    return found


def _mean(values: dict[str, float | None]) -> float | None:
    known = [one for name, one in values.items() if one is not None and name in devices(CLASSES)]
    return fmean(known) if known else None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="weights")
    parser.add_argument("--films", type=int, default=24)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--step", type=float, default=2.0, help="pixels that the scene moves a frame")
    options = parser.parse_args()
    network, rows = load_network(options.model, "cpu"), []
    for k in range(options.films):
        made = film(LOOKS[k % len(LOOKS)], FIRST_SEED + k, options.frames, options.step)
        rows.append([figures(network, made, steady=steady) for steady in (False, True)])
    print("| | plain | steady | difference (95 %) | films |\n| --- | --- | --- | --- | --- |")
    for name in rows[0][0]:
        pairs = [(plain[name], steady[name]) for plain, steady in rows]
        known = [(one, two) for one, two in pairs if one is not None and two is not None]
        apart = bootstrap_mean([two - one for one, two in known])
        one, two = (fmean(values) for values in zip(*known, strict=True))
        told = "" if apart is None else f"{apart.mean:+.3f} ({apart.low:+.3f} to {apart.high:+.3f})"
        print(f"| {name} | {one:.3f} | {two:.3f} | {told} | {len(known)} |")


if __name__ == "__main__":
    main()
