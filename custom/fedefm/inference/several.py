"""Several runs by one call: the network is loaded once, and each run gets a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fedefm.data.readers import numbered, stem_of
from fedefm.files import check_free
from fedefm.inference.predict import load_network
from fedefm.inference.segment import Wanted, segment
from fedefm.inference.source import open_run


def segment_each(
    sources: Sequence[Path],
    model: Path,
    out: Path,
    wanted: Wanted,
    device: str = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[Path, dict[str, Any]]:
    """Segment runs, one after the other; all of them are opened before the first is segmented.

    Args:
        sources: each as `open_run` takes it.
        model: a weights file.
        out: the new folder of the results of a single run; of several, the folder that holds theirs (`places`).
        wanted: what to write.
        device: as in `load_network`.
        progress: called with (frames done, frames in all) of all runs together.

    Returns:
        The folder of each run, and its summary.

    Raises:
        FedefmError: as `fedefm.inference.run.segment`; runs that were finished before stay.
    """
    folders = places(sources, out)
    for folder in folders:
        check_free(folder)
    network, runs = load_network(model, device), [open_run(source) for source in sources]
    total, before = sum(run.shape[0] for run in runs), 0
    found = {}
    for run, folder in zip(runs, folders, strict=True):
        found[folder] = segment(run, network, folder, wanted, _after(before, total, progress))
        before += run.shape[0]
    return found


def _after(before: int, total: int, progress: Callable[[int, int], None]) -> Callable[[int, int], None]:
    """Progress of one run as that of all, where `before` frames of others are done."""
    return lambda done, of_this: progress(before + done, total)


def places(sources: Sequence[Path], out: Path) -> list[Path]:
    """Where the results of each run go: one into `out` itself, several into folders that are named like the runs.

    A name that came before gets a number: `run`, `run-2`.
    """
    if len(sources) == 1:
        return [out]
    stems = [source.resolve().name if source.is_dir() else stem_of(source) for source in sources]
    return [out / name for name in numbered(stems)]
