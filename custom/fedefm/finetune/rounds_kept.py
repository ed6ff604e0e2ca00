"""What a federated fine-tune job keeps between two rounds, so that one that was killed goes on where it was.

Every round starts a fresh optimiser and every task is seeded by its round, so a job that goes on ends with the weights
of one that was never stopped. How rounds lie on disk: `fedefm.training.kept`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fedefm.finetune.metric import Best
from fedefm.finetune.network import tuned_spec
from fedefm.finetune.settings import FineTune
from fedefm.models.build import Weights
from fedefm.training.kept import KeptRounds, job_digest


@dataclass(frozen=True)
class Progress:
    """A federated job after some of its rounds.

    Attributes:
        weights: of the last round.
        best: of the round that `chosen` names.
        chosen: the best round so far.
        history: one entry a round.
        note: what was lost of what was kept, in words; empty where nothing was.
    """

    weights: Weights
    best: Weights
    chosen: Best
    history: tuple[dict[str, Any], ...] = ()
    note: str = ""


class RoundsKept:
    """The rounds of one job.

    Args:
        folder: gets one folder a job, named by its digest.
        settings: the job, with the fingerprint of the Theta that it starts from: then they fix the start weights.
        sites: hospitals that take part.
    """

    def __init__(self, folder: Path, settings: FineTune, sites: Iterable[str]):
        fixed = {k: v for k, v in settings.to_dict().items() if k not in ("name", "theta", "stage_timeout")}
        place = folder / job_digest(fixed, sorted(sites))
        self._kept = KeptRounds(place, tuned_spec(settings), settings.classes, settings.size)

    def load(self) -> Progress | None:
        """Where the job was; None where nothing is kept.

        Raises:
            CheckpointError: rounds are kept, and all are damaged.
        """
        found = self._kept.newest(self._read)
        return None if found is None else replace(found[0], note=found[1])

    def save(self, progress: Progress) -> None:
        """Keep a round.

        Raises:
            ConfigError: it cannot be written; the rounds that are kept are untouched.
        """
        names = {"weights": self._kept.put(progress.weights), "best": self._kept.put(progress.best)}
        state = names | {"chosen": asdict(progress.chosen), "history": list(progress.history)}
        self._kept.commit(len(progress.history), state)

    def remove(self) -> None:
        """The job is done."""
        self._kept.remove()

    def _read(self, state: Any) -> Progress:
        weights, best = self._kept.get(state["weights"]), self._kept.get(state["best"])
        return Progress(weights, best, Best(**state["chosen"]), tuple(dict(entry) for entry in state["history"]))
