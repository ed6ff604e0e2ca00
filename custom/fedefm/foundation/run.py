"""A whole foundation job in plain Python: over any transport, or with all hospitals in this process.

The latter is the oracle of the FLARE adapters, and what sweeps of many runs use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from fedefm.data.dataset import SiteData
from fedefm.errors import DataError
from fedefm.exchange.coordinator import Coordinator
from fedefm.exchange.events import Event, Listener, RunResumed, TaskLost
from fedefm.exchange.in_process import InProcessTransport
from fedefm.exchange.messages import Lost, Stage
from fedefm.exchange.ports import Transport
from fedefm.exchange.record import Recorder
from fedefm.exchange.state import RoundState
from fedefm.exchange.topology import resolve
from fedefm.foundation.doubting import doubting_ops
from fedefm.foundation.hospital import Hospital
from fedefm.foundation.initial import start_weights, with_start_named
from fedefm.foundation.kept import RunKept
from fedefm.foundation.settings import Settings
from fedefm.models.build import Weights
from fedefm.models.checkpoint import Checkpoint
from fedefm.models.stored import HELD, Shelf
from fedefm.training.wire import TensorWire

MISSING = "is not there, as it was when this job began"
NEW = "was not there when this job began; it takes part in the next one"


@dataclass(frozen=True)
class FoundationRun:
    """What a run leaves.

    Attributes:
        settings: the job.
        state: Theta and every theta_i.
        figures: what the recorder collected.
    """

    settings: Settings
    state: RoundState[Weights]
    figures: dict[str, Any]


def open_hospitals(settings: Settings, folders: Mapping[str, Path], device: str) -> dict[str, Hospital]:
    """All hospitals of a job, for one thread: they share networks.

    Each can ask for the images of the others, which only pooled training does.
    """
    hospitals: dict[str, Hospital] = {}
    networks: dict[str, nn.Module] = {}
    for name, folder in sorted(folders.items()):
        others = partial(_readable, hospitals, name)
        hospitals[name] = Hospital(name, folder, settings, device=device, others=others, networks=networks)
    return hospitals


def _readable(hospitals: Mapping[str, Hospital], name: str) -> list[SiteData]:
    """Images of all hospitals but one; a hospital that cannot read its own was named when the run prepared."""
    found = []
    for other in (hospital for key, hospital in hospitals.items() if key != name):
        with suppress(DataError):
            found.append(other.data)
    return found


def train(
    settings: Settings,
    sites: Sequence[str],
    initial: Weights,
    transport: Transport[Weights],
    listen: Listener,
    *,
    beside: Path | None = None,
    kept: RunKept | None = None,
    tidy: Callable[[], object] = lambda: None,
    shelf: Shelf | None = None,
) -> FoundationRun:
    """Run a job over any transport, from its beginning or from the last round that was kept.

    Args:
        settings: the job, with the fingerprint of the Theta that it starts from (`with_start_named`), if it has one.
        sites: hospitals that are there.
        initial: weights of `start_weights`.
        transport: carries the work.
        listen: is told every event, beside the recorder.
        beside: folder of a graph file that the settings name.
        kept: gets the rounds, so that the same job goes on if it was killed; whoever has published what comes out
            removes them.
        tidy: called after every round.
        shelf: takes all weights that are held; None holds them in memory.

    Raises:
        CheckpointError: rounds were kept, and all are damaged.
        ConfigError: a round cannot be kept; those before it are.
        QuorumError: too few hospitals took part.
    """
    initial = initial if shelf is None else shelf.put(initial)
    recorder, events = Recorder(settings.classes), list[Event]()

    def tell(event: Event) -> None:
        events.append(event)
        recorder(event)
        listen(event)

    def commit(state: RoundState[Weights]) -> None:
        if kept:
            kept.save(state, events)
        tidy()

    before = kept.load() if kept else None
    members = sorted(before.state.silos if before else sites)
    if before:
        events.extend(before.events)
        for event in before.events:
            recorder(event)
        tell(RunResumed(before.state.round, before.note))
        for reason, lost in ((MISSING, set(members) - set(sites)), (NEW, set(sites) - set(members))):
            for site in sorted(lost):
                tell(TaskLost(Lost(site, before.state.round, Stage.PREPARE, reason)))
    coordinator = Coordinator(
        settings.schedule,
        settings.rules,
        resolve(settings.topology, members, beside),
        settings.classes,
        transport,
        doubting_ops(settings, initial, shelf),
        tell,
        commit,
        measure_start=bool(settings.start or settings.start_sha256),
    )
    there = [site for site in members if site in sites]
    state = coordinator.run(initial, before.state if before else None, there)
    return FoundationRun(settings, state, recorder.figures())


def run_in_process(
    settings: Settings,
    folders: Mapping[str, Path],
    listeners: Iterable[Listener] = (),
    *,
    device: str = "cpu",
    theta: Checkpoint | None = None,
    keep: Path | None = None,
) -> FoundationRun:
    """Run a job with all hospitals in this process.

    Args:
        settings: the job.
        folders: every hospital's images.
        listeners: told every event, beside the recorder.
        device: of all hospitals.
        theta: an earlier Theta to start from; None starts from the seed.
        keep: folder in which the rounds are kept, so that the same job goes on if it was killed.

    Raises:
        FedefmError: too few hospitals took part.
    """
    told = tuple(listeners)

    def listen(event: Event) -> None:
        for listener in told:
            listener(event)

    named = with_start_named(settings, theta)
    kept = None if keep is None else RunKept(keep, named, Path(settings.topology))
    shelf = None if keep is None else Shelf(keep / HELD)
    transport = InProcessTransport(open_hospitals(settings, folders, device), TensorWire(settings.wire, shelf))
    return train(named, sorted(folders), start_weights(named, theta), transport, listen, kept=kept, shelf=shelf)
