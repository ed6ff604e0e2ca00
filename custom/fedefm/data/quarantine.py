"""How many files of a hospital may be left out because they cannot be read."""

from collections.abc import Sequence

from fedefm.errors import DataError

MAX_QUARANTINED = 0.1  # share of a hospital's files


def check_quarantine(bad: Sequence[DataError | str], files: int, limit: float) -> None:
    """Allow that a few files cannot be read.

    Raises:
        DataError: where more than the share `limit` of `files` cannot; it repeats the first reason.
    """
    if len(bad) > limit * files:
        raise DataError(f"{len(bad)} of {files} files cannot be used, above the limit of {limit:.0%}; first: {bad[0]}")
