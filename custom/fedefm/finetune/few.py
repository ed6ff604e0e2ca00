"""A share of a hospital's labels, taken patient by patient as a hospital labels them."""

from __future__ import annotations

import hashlib
import math

from fedefm.data.frames import Split


def take_share(split: Split, share: float, seed: int) -> Split:
    """The frames of the first `share` of the patients, rounded up, in an order that the seed draws.

    A smaller share is always a part of a larger one.
    """
    if share >= 1:
        return split
    order = sorted(set(split.patients), key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    chosen = set(order[: math.ceil(share * len(order) - 1e-9)])
    kept = [k for k, patient in enumerate(split.patients) if patient in chosen]
    return split.only(kept)
