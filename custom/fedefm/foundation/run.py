"""A whole run in one process, without FLARE: the oracle of the FLARE adapters, and what sweeps of many runs use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fedefm.data.dataset import SiteData
from fedefm.errors import DataError
from fedefm.exchange.coordinator import Coordinator
from fedefm.exchange.events import Event, Listener
from fedefm.exchange.in_process import InProcessTransport
from fedefm.exchange.record import Recorder
from fedefm.exchange.state import RoundState
from fedefm.exchange.topology import resolve
from fedefm.foundation.doubting import doubting_ops
from fedefm.foundation.hospital import Hospital
from fedefm.foundation.settings import Settings
from fedefm.models.build import Weights, initial_weights


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
    """All hospitals of a job; each can ask for the images of the others, which only pooled training does."""
    hospitals: dict[str, Hospital] = {}
    for name, folder in sorted(folders.items()):
        others = partial(_readable, hospitals, name)
        hospitals[name] = Hospital(name, folder, settings, device=device, others=others)
    return hospitals


def _readable(hospitals: Mapping[str, Hospital], name: str) -> list[SiteData]:
    """Images of all hospitals but one; a hospital that cannot read its own was named when the run prepared."""
    found = []
    for other in (hospital for key, hospital in hospitals.items() if key != name):
        with suppress(DataError):
            found.append(other.data)
    return found


def run_in_process(
    settings: Settings, folders: Mapping[str, Path], listeners: Iterable[Listener] = (), *, device: str = "cpu"
) -> FoundationRun:
    """Run a job with all hospitals in this process.

    Args:
        settings: the job.
        folders: every hospital's images.
        listeners: told every event, beside the recorder.
        device: of all hospitals.

    Raises:
        FedefmError: too few hospitals took part.
    """
    hospitals = open_hospitals(settings, folders, device)
    initial = initial_weights(settings.model, len(settings.classes) + 1, settings.size, settings.schedule.seed)
    recorder = Recorder(settings.classes)
    told: tuple[Listener, ...] = (recorder, *listeners)

    def listen(event: Event) -> None:
        for listener in told:
            listener(event)

    coordinator = Coordinator(
        settings.schedule,
        settings.rules,
        resolve(settings.topology, sorted(folders)),
        settings.classes,
        InProcessTransport(hospitals),
        doubting_ops(settings, initial),
        listen,
    )
    return FoundationRun(settings, coordinator.run(initial), recorder.figures())
