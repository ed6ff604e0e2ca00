"""A network on the frames of a run, with its label maps on the frames' own pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn
from torch.nn import functional

from fedefm.data.letterbox import Letterbox, fit_images
from fedefm.errors import CheckpointError
from fedefm.inference.scale import Scale
from fedefm.models.checkpoint import Checkpoint, load_weights
from fedefm.models.device import resolve_device
from fedefm.models.restore import restore

MOST_CLASSES = 254  # labels are 8 bits


class Network(NamedTuple):
    """A network that is ready to predict, and what its file says about it."""

    model: nn.Module
    checkpoint: Checkpoint
    device: torch.device


class Labelled(NamedTuple):
    """One frame of a run: its number from 1, its grey values for the eye, and the class of each of its pixels."""

    number: int
    grey: UInt8[np.ndarray, "h w"]
    labels: UInt8[np.ndarray, "h w"]


def load_network(path: Path, device: str = "auto") -> Network:
    """Build the network that a weights file names, and load it.

    Args:
        path: a file of `fedefm.models.checkpoint.save_weights`.
        device: `cpu`, `cuda`, `cuda:1` ..., or `auto` for a GPU where there is one.

    Raises:
        CheckpointError: the file is missing, damaged or altered, its weights do not fit its architecture, or that is no
            segmentation network.
        ConfigError: the device does not exist.
    """
    checkpoint, place = load_weights(path), resolve_device(device)
    if len(checkpoint.classes) > MOST_CLASSES:
        raise CheckpointError(
            f"{path}: {len(checkpoint.classes)} classes, more than the {MOST_CLASSES} that a label map holds"
        )
    return Network(restore(checkpoint, str(path)).to(place), checkpoint, place)


def label_frames(
    network: Network, frames: Iterable[tuple[Float32[np.ndarray, "h w"], Scale]], batch: int
) -> Iterator[Labelled]:
    """Label each frame of a run, `batch` at a time; no more of the run is held.

    Args:
        network: of `load_network`.
        frames: grey frames of one size, each with its scale.
        batch: frames that go through the network together.
    """
    waiting, number = iter(frames), 0
    while group := list(islice(waiting, batch)):
        raw = [frame for frame, _ in group]
        box = Letterbox(raw[0].shape[0], raw[0].shape[1], network.checkpoint.size)
        images = fit_images(np.stack([scale.normalise(frame) for frame, scale in group]), box)
        with torch.inference_mode():
            scores = network.model(images.to(network.device)).softmax(1)
            labels = best_class(restore_scores(scores, box)).cpu().numpy()
        for (frame, scale), label in zip(group, labels, strict=True):
            number += 1
            yield Labelled(number, scale.to_grey(frame), label)


def best_class(scores: Float[Tensor, "b k h w"]) -> UInt8[Tensor, "b h w"]:
    """The class with the highest score of each pixel, the first of equals: `argmax(1)`, four times faster on a CPU."""
    best, labels = scores[:, 0], torch.zeros_like(scores[:, 0], dtype=torch.uint8)
    for label in range(1, scores.shape[1]):
        better = scores[:, label] > best
        labels.masked_fill_(better, label)
        best = torch.maximum(best, scores[:, label])
    return labels


def restore_scores(scores: Float[Tensor, "b k s s"], box: Letterbox) -> Float[Tensor, "b k h w"]:
    """Class scores of the square on the pixels of the frame: the border cut off, the rest interpolated (bilinear).

    Both grids cover the same area and pixels are cells of it, so nothing shifts: cell i of n covers [i/n, (i+1)/n].
    Scores, not labels, are interpolated: outlines then fall between the pixels of a coarse network, not on their edges.
    """
    inner = scores[:, :, box.window[0], box.window[1]]
    if box.inner == (box.height, box.width):
        return inner
    return functional.interpolate(inner, size=(box.height, box.width), mode="bilinear", align_corners=False)
