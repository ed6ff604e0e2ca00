"""Reads every file of a folder for a check, on several processors."""

import multiprocessing
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial

from fedefm.data.folder import Pair
from fedefm.data.inspection.seen import Plain, Seen, see
from fedefm.errors import DataError

FEW = 64
"""Pairs of files that are not worth a process of their own."""
_AT_ONCE = 8

Progress = Callable[[int, int], None]


def see_all(
    pairs: Sequence[Pair], plain: Plain, *, processes: int = 1, progress: Progress | None = None
) -> Iterator[Seen]:
    """What is noted of each pair, in order.

    Decoders hold Python's lock, so that threads would wait for each other: above `FEW` pairs each processor gets a
    process of its own.

    Args:
        pairs: the files.
        plain: mask values that are no class.
        processes: at work at the same time.
        progress: called with (pairs done, pairs in all).

    Raises:
        DataError: a process ended while it read a file.
    """
    one = partial(see, plain=plain, salt=secrets.token_bytes(16))
    for done, seen in enumerate(_mapped(one, pairs, processes), start=1):
        if progress is not None:
            progress(done, len(pairs))
        yield seen


def _mapped(one: Callable[[Pair], Seen], pairs: Sequence[Pair], processes: int) -> Iterator[Seen]:
    if processes < 2 or len(pairs) <= FEW:
        yield from map(one, pairs)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield from pool.map(one, pairs, chunksize=_AT_ONCE)
        except BrokenProcessPool as error:
            raise DataError(
                "a process ended while it read a file, for want of memory or by a damaged file; try half of the folder"
            ) from error
