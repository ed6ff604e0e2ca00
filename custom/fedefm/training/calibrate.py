"""Weights of anywhere, measured on a hospital's own images: the same weights with what was measured in their header."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fedefm.data.dataset import load_site
from fedefm.errors import ConfigError, DataError
from fedefm.metrics.suppression import LEAST_IMAGES
from fedefm.models.assurance import Assurance
from fedefm.models.checkpoint import load_weights, save_weights
from fedefm.models.device import resolve_device
from fedefm.models.restore import restore
from fedefm.training.assure import LEAST_SEEN, assure


def calibrate(
    weights: Path, folders: Mapping[str, Path], out: Path, *, least: int = LEAST_IMAGES, device: str = "cpu"
) -> Assurance:
    """Write a copy of a weights file that knows how sure to be, and what its images look like.

    Args:
        weights: a file of a segmentation network.
        folders: hospitals with images and masks; their validation splits are measured.
        out: the new file; it may be `weights` itself. The weights and their fingerprint stay as they are.
        least: fewest images that a figure may rest on.
        device: of the network.

    Raises:
        CheckpointError: the weights cannot be used.
        DataError: a folder cannot be used, or there are too few images for anything.
        ConfigError: the file cannot be written.
    """
    if least < 1:
        raise ConfigError(f"least images {least}: give 1 or more")
    checkpoint = load_weights(weights)
    model = restore(checkpoint, str(weights)).to(resolve_device(device))
    sites = [load_site(folder, checkpoint.classes, checkpoint.size) for _, folder in sorted(folders.items())]
    found = assure(model, sites, checkpoint.classes, least)
    if found == Assurance():
        raise DataError(
            f"too few images: {least} validation images with marks tell how sure to be, {max(least, LEAST_SEEN)} "
            f"training and {least} validation images what is familiar; add images"
        )
    own = checkpoint
    save_weights(out, own.weights, spec=own.spec, classes=own.classes, size=own.size, assurance=found)
    return found
