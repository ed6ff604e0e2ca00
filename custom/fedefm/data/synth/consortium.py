"""Several hospitals whose label corpora overlap more or less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedefm.data.synth.looks import CLASSES, LOOKS, look_named
from fedefm.data.synth.site import Progress, write_site
from fedefm.errors import ConfigError

GAIA = (
    "virginia",
    "saopaulo",
    "dublin",
    "frankfurt",
    "mumbai",
    "singapore",
    "sydney",
    "seoul",
    "tokyo",
    "oregon",
    "california",
)
"""Silos of the Gaia network (Hsieh et al., NSDI 2017), in the order of their ring."""


@dataclass(frozen=True)
class SiteSpec:
    """What one hospital of a consortium is like.

    Attributes:
        look: one of `LOOKS` or `HELD_BACK`.
        home: the class that this hospital labels in any case.
        style: how far its physics lie from the look's mean; 0 is the mean itself.
    """

    look: str
    home: str
    style: float = 0.0

    def __post_init__(self) -> None:
        look_named(self.look)
        if self.home not in CLASSES:
            raise ConfigError(f"home class {self.home!r} is unknown: choose one of {', '.join(CLASSES)}")
        if not 0 <= self.style <= 0.5:
            raise ConfigError(f"style {self.style} is out of range: give 0 to 0.5")


def default_sites(count: int = len(LOOKS)) -> dict[str, SiteSpec]:
    """Return the first hospitals of a consortium, named for their look, or for the Gaia silos beyond four.

    Up to four have a look each and its home class. Beyond, looks repeat with another style, and home classes go round.

    Raises:
        ConfigError: the count is not 1 to 11.
    """
    if not 1 <= count <= len(GAIA):
        raise ConfigError(f"number of sites {count} is out of range: give 1 to {len(GAIA)}")
    if count <= len(LOOKS):
        return {look: SiteSpec(look, look_named(look).home) for look in LOOKS[:count]}
    return {name: _gaia_site(i) for i, name in enumerate(GAIA[:count])}


def _gaia_site(index: int) -> SiteSpec:
    """Return a hospital that shares its look with every fourth one; one turn on, its home class is the next."""
    look = LOOKS[index % len(LOOKS)]
    turn = index // len(LOOKS)
    home = CLASSES[(CLASSES.index(look_named(look).home) + turn) % len(CLASSES)]
    return SiteSpec(look, home, style=0.2 if turn else 0.0)


def corpora(sites: Mapping[str, SiteSpec], *, unseen: float, seed: int) -> dict[str, tuple[str, ...]]:
    """Return the label corpus of each hospital.

    Of the pairs of a hospital and a class that is not its home class, the share `unseen` stays unlabelled: which pairs
    is drawn once for all shares, so that a larger share only takes labels away.

    Raises:
        ConfigError: `unseen` is not in [0, 1].
    """
    if not 0 <= unseen <= 1:
        raise ConfigError(f"unseen {unseen} is out of range: give 0 (all classes labelled) to 1 (the home class only)")
    pairs = [(name, label) for name, site in sites.items() for label in CLASSES if label != site.home]
    order = np.random.default_rng([seed, 5]).permutation(len(pairs))
    dropped = {pairs[i] for i in order[: int(unseen * len(pairs) + 0.5)]}
    return {name: tuple(label for label in CLASSES if (name, label) not in dropped) for name in sites}


def write_consortium(
    folder: Path,
    *,
    sites: Mapping[str, SiteSpec] | None = None,
    frames_per_site: int = 120,
    size: int = 128,
    seed: int = 0,
    unseen: float = 1.0,
    magnification: float | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write one data set a hospital, each in a folder of the hospital's name.

    Args:
        folder: where the hospitals' folders go.
        sites: the hospitals by name; by default `default_sites()`.
        frames_per_site: images of each hospital.
        size: rows and columns of an image.
        seed: what everything is drawn from; each hospital has patients of its own.
        unseen: share of the pairs of hospital and class, home classes apart, that stay unlabelled.
        magnification: zoom of the field of view, by default as in `render`.
        progress: called with the frames done in all and their total.

    Returns:
        The hospitals' folders, in the order of `sites`.

    Raises:
        ConfigError: an argument is out of range.
        DataError: a hospital's folder holds something else.
    """
    chosen = default_sites() if sites is None else dict(sites)
    labels = corpora(chosen, unseen=unseen, seed=seed)
    for number, (name, site) in enumerate(chosen.items()):
        write_site(
            folder / name,
            site.look,
            frames=frames_per_site,
            size=size,
            seed=_site_seed(seed, number),
            corpus=labels[name],
            progress=_overall(progress, number * frames_per_site, len(chosen) * frames_per_site),
            magnification=magnification,
            style=site.style,
        )
    return [folder / name for name in chosen]


def _site_seed(seed: int, number: int) -> int:
    """Return a seed of its own for each hospital of each consortium."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _overall(progress: Progress | None, before: int, total: int) -> Progress | None:
    """Return a callback that reports one hospital's progress within the whole."""
    if progress is None:
        return None
    report = progress
    return lambda done, _: report(before + done, total)
