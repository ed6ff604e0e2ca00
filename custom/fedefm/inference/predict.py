"""A network on the frames of a run, with its label maps on the frames' own pixels."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional

from fedefm.data.appearance import appearance
from fedefm.data.letterbox import Letterbox, fit_images
from fedefm.errors import CheckpointError
from fedefm.inference.pace import Pace
from fedefm.inference.scale import Scale
from fedefm.inference.steady import Scored, steadied
from fedefm.models.assurance import Assurance
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
    """One frame of a run.

    Attributes:
        number: from 1.
        grey: its grey values for the eye.
        labels: the class of each of its pixels.
        left_out: pixels that the network marked outside of the X-ray picture; they are 0 in `labels`.
        probabilities: of each foreground class the mean of what the network gave its pixels, calibrated where the
            weights know how; None where it has none.
        sure: of each marked pixel the calibrated confidence that it is right, 0 elsewhere; None where the weights do
            not know.
        strange: how far the frame is from what the weights were trained on, above 1 like nothing there; None where
            they do not know.
    """

    number: int
    grey: UInt8[np.ndarray, "h w"]
    labels: UInt8[np.ndarray, "h w"]
    left_out: int = 0
    probabilities: tuple[float | None, ...] = ()
    sure: Float32[np.ndarray, "h w"] | None = None
    strange: float | None = None


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
    model = restore(checkpoint, str(path)).to(place, memory_format=torch.channels_last)  # twice as fast on a processor
    return Network(model, checkpoint, place)


def label_frames(
    network: Network,
    frames: Iterable[tuple[Float32[np.ndarray, "h w"], Scale]],
    batch: int,
    keep_shutter: bool = False,
    steady: bool = False,
) -> Generator[Labelled, None, None]:
    """Label each frame of a run, `batch` at a time; no more of the run is held.

    Args:
        network: of `load_network`.
        frames: grey frames of one size, each with its scale.
        batch: frames that go through the network together.
        keep_shutter: keep marks outside of the X-ray picture.
        steady: average each frame's scores with those of the frames beside it; see `steadied`.
    """
    number = 0
    with closing(_scored(network, frames, batch)) as groups:
        for group in steadied(groups) if steady else groups:
            for (frame, scale), label, score, strange in zip(
                group.frames, *_classified(network, group), group.strange, strict=True
            ):
                number += 1
                left_out = 0 if keep_shutter else clear_outside(label, scale)
                sure = calibrated(label, score, network.checkpoint.assurance)
                means = mean_scores(label, score if sure is None else sure, len(network.checkpoint.classes))
                yield Labelled(number, scale.to_grey(frame), label, left_out, means, sure, strange)


def _scored(
    network: Network, frames: Iterable[tuple[Float32[np.ndarray, "h w"], Scale]], batch: int
) -> Generator[Scored, None, None]:
    """What the network says of each frame of a run, `batch` at a time."""
    with closing(Pace()) as pace:
        waiting = iter(frames)
        while group := tuple(islice(waiting, batch)):
            with pace.of(len(group)):
                found = _scores(network, group)
            yield found


def _scores(network: Network, group: tuple[tuple[Float32[np.ndarray, "h w"], Scale], ...]) -> Scored:
    """What the network says of some frames of one size."""
    box = _box(network, group[0][0])
    images = fit_images(np.stack([scale.normalise(frame) for frame, scale in group]), box)
    with torch.inference_mode():
        scores = network.model(images.to(network.device)).softmax(1).contiguous()
    strange: tuple[float | None, ...] = (None,) * len(group)
    if (assurance := network.checkpoint.assurance).looks:
        strange = tuple(float(one) for one in assurance.strangeness(appearance(images[:, 0].numpy())))
    return Scored(group, scores, strange)


def _classified(network: Network, group: Scored) -> tuple[UInt8[np.ndarray, "b h w"], Float32[np.ndarray, "b h w"]]:
    """The class of each pixel of some frames, and its score."""
    with torch.inference_mode():
        labels, best = best_class(restore_scores(group.scores, _box(network, group.frames[0][0])))
    return labels.cpu().numpy(), best.cpu().numpy()


def _box(network: Network, frame: Float32[np.ndarray, "h w"]) -> Letterbox:
    rows, columns = frame.shape
    return Letterbox(rows, columns, network.checkpoint.size)


def calibrated(
    labels: UInt8[np.ndarray, "h w"], best: Float32[np.ndarray, "h w"], assurance: Assurance
) -> Float32[np.ndarray, "h w"] | None:
    """The confidence of each marked pixel; see `Labelled.sure`."""
    if assurance.confidence is None:
        return None
    sure, marked = np.zeros(labels.size, np.float32), np.flatnonzero(labels)  # a few per cent of a frame
    sure[marked] = assurance.confidence.of(best.ravel()[marked])
    return sure.reshape(labels.shape)


def clear_outside(labels: UInt8[np.ndarray, "h w"], scale: Scale) -> int:
    """Take the marks that are of the X-ray picture's edge away, in place; how many pixels they were.

    These are marks outside of the picture, and pieces of a class that lie wholly on its rim: a device comes into the
    picture, a blade's blurred edge does not.
    """
    before = int(np.count_nonzero(labels))
    if scale.field is not None:
        labels[~scale.field] = 0
    if scale.inner is not None:
        for label in set(np.unique(labels[~scale.inner]).tolist()) - {0}:
            numbers, count = ndimage.label(labels == label)
            on_rim = np.ones(count + 1, bool)
            on_rim[numbers[scale.inner]] = False
            labels[on_rim[numbers] & (numbers > 0)] = 0
    return before - int(np.count_nonzero(labels))


def mean_scores(
    labels: UInt8[np.ndarray, "h w"], best: Float[np.ndarray, "h w"], classes: int
) -> tuple[float | None, ...]:
    """The mean score of the pixels of each foreground class; None where a class has none."""
    marked = np.flatnonzero(labels)  # a few per cent of a frame
    found = labels.ravel()[marked]
    counts = np.bincount(found, minlength=classes + 1)[1:]
    sums = np.bincount(found, best.ravel()[marked], classes + 1)[1:]
    return tuple(float(total / count) if count else None for total, count in zip(sums, counts, strict=True))


def best_class(scores: Float[Tensor, "b k h w"]) -> tuple[UInt8[Tensor, "b h w"], Float[Tensor, "b h w"]]:
    """The class with the highest score of each pixel, the first of equals, and that score.

    They are those of `max(1)`, four times faster on a CPU.
    """
    best, labels = scores[:, 0], torch.zeros_like(scores[:, 0], dtype=torch.uint8)
    for label in range(1, scores.shape[1]):
        better = scores[:, label] > best
        labels.masked_fill_(better, label)
        best = torch.maximum(best, scores[:, label])
    return labels, best


def restore_scores(scores: Float[Tensor, "b k s s"], box: Letterbox) -> Float[Tensor, "b k h w"]:
    """Class scores of the square on the pixels of the frame: the border cut off, the rest interpolated (bilinear).

    Both grids cover the same area and pixels are cells of it, so nothing shifts: cell i of n covers [i/n, (i+1)/n].
    Scores, not labels, are interpolated: outlines then fall between the pixels of a coarse network, not on their edges.
    """
    inner = scores[:, :, box.window[0], box.window[1]]
    if box.inner == (box.height, box.width):
        return inner
    return functional.interpolate(inner, size=(box.height, box.width), mode="bilinear", align_corners=False)
