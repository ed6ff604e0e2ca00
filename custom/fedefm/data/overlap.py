"""Do two hospitals hold the same pictures? Asked of looks, not of pictures, and answered by a count."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedefm.data.folder import list_images
from fedefm.data.grouping.looks import as_tokens, looks_of
from fedefm.data.readers import read_image
from fedefm.errors import DataError
from fedefm.trust.private_count import Party, count


@dataclass(frozen=True)
class Overlap:
    """What two hospitals have in common.

    Attributes:
        images: of the first that could be read.
        common: of these, how many the other has as well.
    """

    images: int
    common: int


def tokens_of(folder: Path) -> list[list[bytes]]:
    """What stands for each readable image of a folder in a private count; of a cine some of its frames.

    This and `Party` are all that a job needs: only what `Party` gives may leave the hospital, never these.

    Raises:
        DataError: there is no folder or no image.
    """
    found = []
    for path in list_images(folder).values():
        try:
            looks = looks_of(read_image(path).frames)
        except DataError:
            continue  # `data check` names it
        row = [token for tokens in as_tokens(looks) for token in tokens]
        if row:
            found.append(row)
    return found


def common_pictures(mine: Sequence[Sequence[bytes]], theirs: Sequence[Sequence[bytes]]) -> Overlap:
    """Both sides of a count on one machine, in the order in which a job would carry it."""
    here, there = Party(), Party()
    both = there.blind_again(here.blind(mine))
    return Overlap(len(mine), count(both, here.blind_again(there.blind(theirs))))


def same_files(folders: Mapping[str, Path]) -> dict[tuple[str, str], int]:
    """How many image files two hospitals on one machine share byte for byte; pairs without any are left out.

    Files are compared by size first, so that those of one size alone are read.
    """
    sizes: dict[int, list[tuple[str, Path]]] = {}
    for site, folder in folders.items():
        for path in list_images(folder).values():
            sizes.setdefault(path.stat().st_size, []).append((site, path))
    found: dict[tuple[str, str], int] = {}
    for files in sizes.values():
        if len({site for site, _ in files}) < 2:
            continue
        owners: dict[bytes, set[str]] = {}
        for site, path in files:
            with path.open("rb") as file:
                owners.setdefault(hashlib.file_digest(file, "sha256").digest(), set()).add(site)
        for sites in owners.values():
            ordered = sorted(sites)
            for k, one in enumerate(ordered):
                for other in ordered[k + 1 :]:
                    found[one, other] = found.get((one, other), 0) + 1
    return found
