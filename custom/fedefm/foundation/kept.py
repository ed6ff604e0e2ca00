"""What a foundation job keeps between two rounds: its whole state, and every event that its record is made from.

Every round starts fresh optimisers and every task is seeded by its place in the run, so a run that goes on ends with
the Theta of one that was never stopped. How rounds lie on disk: `fedefm.training.kept`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from fedefm.exchange.events import Event, event_from_dict, event_to_dict
from fedefm.exchange.state import RoundState
from fedefm.foundation.settings import Settings
from fedefm.models.build import Weights
from fedefm.training.kept import KeptRounds, job_digest

_STATE = TypeAdapter(RoundState[str])
_NO_RESULT = ("name", "start", "stage_timeout")  # settings that change no bit of Theta; `start_sha256` fixes the start


@dataclass(frozen=True)
class Interrupted:
    """A run after some of its rounds.

    Attributes:
        state: Theta, every theta_i, and who takes part.
        events: all that was told until then.
        note: what was lost of what was kept, in words; empty where nothing was.
    """

    state: RoundState[Weights]
    events: tuple[Event, ...]
    note: str = ""


class RunKept:
    """The rounds of one foundation job.

    The hospitals are part of what is kept, not of the job's digest: a job goes on with the hospitals that it began
    with. One that is missing now is lost as in a run, and one that is new takes part in the next job.

    Args:
        folder: gets one folder a job, named by the digest of its settings.
        settings: the job.
        graph: the file that `topology` names, if it names one.
    """

    def __init__(self, folder: Path, settings: Settings, graph: Path | None = None):
        fixed = {key: value for key, value in settings.to_dict().items() if key not in _NO_RESULT}
        if graph is not None and graph.is_file():
            fixed["topology"] = hashlib.sha256(graph.read_bytes()).hexdigest()
        self._kept = KeptRounds(folder / job_digest(fixed), settings.model, settings.classes, settings.size)

    def load(self) -> Interrupted | None:
        """Where the run was; None where nothing is kept.

        Raises:
            CheckpointError: rounds are kept, and all are damaged.
        """
        found = self._kept.newest(self._read)
        return None if found is None else replace(found[0], note=found[1])

    def save(self, state: RoundState[Weights], events: Sequence[Event]) -> None:
        """Keep a round.

        Raises:
            ConfigError: it cannot be written; the rounds that are kept are untouched.
        """
        named = _STATE.dump_python(state.with_weights(self._kept.put), mode="json")
        self._kept.commit(state.round, {"run": named, "events": [event_to_dict(event) for event in events]})

    def remove(self) -> None:
        """The job is done."""
        self._kept.remove()

    def _read(self, plain: Any) -> Interrupted:
        state = _STATE.validate_python(plain["run"]).with_weights(self._kept.get)
        return Interrupted(state, tuple(map(event_from_dict, plain["events"])))
