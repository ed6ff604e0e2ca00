"""A trained network as a module that takes plain arrays and gives label maps on their own pixels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from numpy.typing import ArrayLike
from torch import Tensor, nn

from fedefm.data.letterbox import Letterbox, fit_images
from fedefm.errors import ConfigError, DataError
from fedefm.inference.predict import Network, best_class, load_network, restore_scores
from fedefm.inference.scale import survey
from fedefm.models.build import forward_with_features

_NUMBERS = "buif"  # numpy's letters for truth values, whole numbers and fractions
_MOST_CHANNELS = 4  # a last axis as short as this holds colours, no columns


class Segmenter(nn.Module):
    """A segmentation network that knows what it was trained for; made by `load`.

    It takes a grey image (h, w), or a stack (n, h, w) of frames of one run, as numpy array: of any size, any grey range
    and any number type. An image goes the same way as in `fedefm segment`: the 0.5 and 99.5 percentiles of all its
    frames together become -2 and 2, then it is fitted into the network's square with its aspect kept. NaN is padding
    and gets the darkest value. Results lie on the pixels of the image, not of the square.

    It predicts without gradients. To train on, call `model.network(model.prepare(image))`.

    Attributes:
        network: the network itself: (n, 1, size, size) normalised images to (n, k, size, size) logits.
        classes: foreground class names; label 1 is the first, 0 is background.
        size: side of the network's square in pixels.
        spec: architecture and encoder.
        sha256: fingerprint of the weights in the file, the one that a report names.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network.model
        self.classes = network.checkpoint.classes
        self.size = network.checkpoint.size
        self.spec = network.checkpoint.spec
        self.sha256 = network.checkpoint.sha256
        self.eval()

    def forward(self, image: ArrayLike, *, batch: int = 4) -> UInt8[np.ndarray, "*n h w"]:
        """Label each pixel.

        Args:
            image: (h, w) or (n, h, w) grey values, brighter for more.
            batch: frames that go through the network together.

        Returns:
            (h, w) or (n, h, w), uint8: 0 for background, k for `classes[k - 1]`.

        Raises:
            DataError: not of numbers, of another shape (such as colours), empty, or with infinite pixels.
            ConfigError: `batch` is below 1.
        """
        labels = [best_class(scores)[0].cpu().numpy() for scores in self._scores(image, batch)]
        return _like(image, np.concatenate(labels))

    def probabilities(self, image: ArrayLike, *, batch: int = 4) -> Float32[np.ndarray, "*n k h w"]:
        """How likely each class is at each pixel.

        Args:
            image: as in `forward`.
            batch: as in `forward`.

        Returns:
            (k, h, w) or (n, k, h, w), float32, with k = 1 + number of classes. The first channel is background. The
            channels sum to 1, and `forward` gives the greatest.

        Raises:
            FedefmError: as `forward`.
        """
        return _like(image, np.concatenate([scores.cpu().numpy() for scores in self._scores(image, batch)]))

    def prepare(self, image: ArrayLike) -> Float32[Tensor, "n 1 s s"]:
        """What the network sees of an image: (n, 1, size, size), float32, normalised, on the network's device.

        Raises:
            DataError: as `forward`.
        """
        frames = _frames(image)
        return self._fit(_normalised(frames), self._box(frames))

    def features(self, image: ArrayLike, level: int = -1) -> Float[Tensor, "n nodes c"]:
        """The encoder's map of one stage as a set of nodes: what `emd_similarity` and `cosine_cost` compare.

        Args:
            image: as in `forward`.
            level: index into the encoder's stages; negative counts from the deepest.

        Returns:
            (n, nodes, channels), one node for each pixel of the map, the square's border included. On the network's
            device, without gradients.

        Raises:
            DataError: as `forward`.
        """
        with torch.no_grad():
            return forward_with_features(self.network, self.prepare(image), level)[1]

    def extra_repr(self) -> str:
        """What `print(model)` says besides the layers."""
        return f"classes={self.classes}, size={self.size}, sha256={self.sha256}"

    def _scores(self, image: ArrayLike, batch: int) -> Iterator[Float32[Tensor, "b k h w"]]:
        """Probabilities on the image's pixels, `batch` frames at a time."""
        if batch < 1:
            raise ConfigError(f"batch {batch}: give 1 or more")
        frames = _frames(image)
        box, normalised = self._box(frames), _normalised(frames)
        for start in range(0, len(frames), batch):
            with torch.inference_mode():
                logits = self.network(self._fit(normalised[start : start + batch], box))
                yield restore_scores(logits.float().softmax(1), box)

    def _box(self, frames: Float32[np.ndarray, "n h w"]) -> Letterbox:
        return Letterbox(frames.shape[1], frames.shape[2], self.size)

    def _fit(self, normalised: Float32[np.ndarray, "n h w"], box: Letterbox) -> Float[Tensor, "n 1 s s"]:
        like = next(self.network.parameters())
        return fit_images(normalised, box).to(like.device, like.dtype)


def load(path: str | Path, device: str = "cpu") -> Segmenter:
    """Load the weights of a run, such as `theta.safetensors`, as a module that labels arrays, ready to predict.

        model = fedefm.load("runs/demo/theta.safetensors", device="cuda")
        labels = model(image)  # (h, w) grey -> (h, w) uint8
        wire = model.probabilities(image)[1 + model.classes.index("guidewire")]

    Args:
        path: a weights file of this package.
        device: `cpu`, `cuda`, `cuda:1` ..., or `auto` for a GPU where there is one; `.to(device)` works later too.

    Raises:
        CheckpointError: the file is missing, damaged or altered, its weights do not fit their architecture, or that is
            no segmentation network.
        ConfigError: the device does not exist.
    """
    return Segmenter(load_network(Path(path), device))


def _frames(image: ArrayLike) -> Float32[np.ndarray, "n h w"]:
    """An image as a stack of frames, checked."""
    array = np.asarray(image)
    if array.dtype.kind not in _NUMBERS:
        raise DataError(f"an image of type {array.dtype}; give an array of real numbers")
    if array.ndim not in (2, 3) or not array.size:
        raise DataError(f"an image of shape {array.shape}; give one frame (h, w) or a stack (n, h, w)")
    if array.ndim == 3 and array.shape[2] <= _MOST_CHANNELS < array.shape[0]:
        raise DataError(f"an image of shape {array.shape} looks like colours; turn it to grey (h, w)")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused on the next line
        frames = array.astype(np.float32).reshape(-1, *array.shape[-2:])
    if np.isinf(frames).any():
        raise DataError("an image with infinite pixels; replace them, or mark padding as NaN")
    return frames


def _normalised(frames: Float32[np.ndarray, "n h w"]) -> Float32[np.ndarray, "n h w"]:
    """Grey values as in training, with one scale for the whole stack."""
    scale = survey(frames)
    return np.stack([scale.normalise(frame) for frame in frames])


def _like(image: ArrayLike, results: np.ndarray) -> np.ndarray:
    """Results of a stack for a stack, the only one for a single frame."""
    return results[0] if np.ndim(image) == 2 else results
