"""A label that says "one of these classes", as one whole number.

A mask has 0 for background and k for the k-th class. Some pixels are known less well: of a tool, catheter or guidewire,
nobody said which. Such a pixel has minus the sum of 2 ** k over the classes it may be. A mask that is compared with a
class stays right: the pixel is not known to be it.
"""

from __future__ import annotations

from collections.abc import Iterable

from jaxtyping import Bool, Int64
from torch import Tensor

NOTHING_KNOWN = -1
"""Of a pixel that may be anything, background too: it teaches nothing and is not scored."""
_MOST = 62  # bits of a whole number, less the sign


def set_label(channels: Iterable[int]) -> int:
    """The label of a pixel that is of one of these classes; of one class alone it is the class itself.

    Args:
        channels: from 1 on.

    Raises:
        ValueError: there is none, or one that has no bit.
    """
    classes = sorted(set(channels))
    if not classes or classes[0] < 1 or classes[-1] > _MOST:
        raise ValueError(f"classes {classes}: at least one, each from 1 to {_MOST}")
    return classes[0] if len(classes) == 1 else -sum(1 << k for k in classes)


def may_be(mask: Int64[Tensor, "*b h w"], channel: int) -> Bool[Tensor, "*b h w"]:
    """Where a pixel is of a class (0 for background), or of one of several classes of which it is one."""
    in_set = (mask < NOTHING_KNOWN) & ((-mask >> channel) & 1).bool()
    return (mask == channel) | in_set | (mask == NOTHING_KNOWN)


def is_unsure(mask: Int64[Tensor, "*b h w"], channel: int) -> Bool[Tensor, "*b"]:
    """Whether an image has pixels of a class or another one, nobody knows of which: there the class has no score."""
    return (may_be(mask, channel) & (mask < NOTHING_KNOWN)).flatten(-2).any(-1)


def leaves_open(labels: Iterable[int], channel: int) -> bool:
    """The same by the labels that stand somewhere in the image."""
    return any(label < NOTHING_KNOWN and -label >> channel & 1 for label in labels)


def sets_in(mask: Int64[Tensor, "*b h w"]) -> list[tuple[int, ...]]:
    """The sets of classes that pixels of a mask are said to be one of, each once."""
    labels = mask[mask < NOTHING_KNOWN].unique().tolist()
    return [tuple(k for k in range(1, _MOST + 1) if -label >> k & 1) for label in labels]
