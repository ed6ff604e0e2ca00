"""What a federated fine-tune job keeps between two rounds, so that one that was killed goes on where it was.

Every round starts a fresh optimiser and every task is seeded by its round, so a job that goes on ends with the weights
of one that was never stopped. The weights are written first, `rounds.json` last: it names them by their fingerprints,
and where it is, the round counts. Theta's file is only read.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fedefm.errors import CheckpointError
from fedefm.files import write_json
from fedefm.finetune.metric import Best
from fedefm.finetune.network import tuned_spec
from fedefm.finetune.settings import FineTune
from fedefm.finetune.weights import save_tuned
from fedefm.models.build import Weights
from fedefm.models.checkpoint import Checkpoint, load_weights

STATE_FILE = "rounds.json"
FOLDER = ".rounds"  # no job has such an id


@dataclass(frozen=True)
class Progress:
    """A federated job after some of its rounds.

    Attributes:
        weights: of the last round.
        best: of the round that `chosen` names.
        chosen: the best round so far.
        history: one entry a round.
    """

    weights: Weights
    best: Weights
    chosen: Best
    history: tuple[dict[str, Any], ...] = ()


def job_digest(settings: FineTune, sites: Any) -> str:
    """What a job must share with one that was killed to go on from it: hospitals, and settings, which name its Theta.

    Settings fix the start weights: by Theta's fingerprint, or by the seed where there is none.
    """
    plain = {key: value for key, value in settings.to_dict().items() if key not in ("name", "theta", "stage_timeout")}
    text = json.dumps([plain, sorted(sites)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class RoundsKept:
    """The rounds of one job in a folder of its own; with no folder nothing is kept.

    Args:
        folder: gets one folder a job, named by its digest.
        settings: the job, with the fingerprint of the Theta that it starts from.
        sites: hospitals that take part.
    """

    def __init__(self, folder: Path | None, settings: FineTune, sites: Any):
        self._settings = settings
        self._folder = None if folder is None else folder / job_digest(settings, sites)[:32]

    def load(self) -> Progress | None:
        """Where the job was; None where nothing is kept.

        Raises:
            CheckpointError: what is kept was damaged.
        """
        path = None if self._folder is None else self._folder / STATE_FILE
        if path is None or not path.is_file():
            return None
        try:
            state = json.loads(path.read_text())
            history, chosen = tuple(dict(entry) for entry in state["history"]), Best(**state["chosen"])
            weights, best = (self._read(path.with_name(state[name])) for name in ("weights", "best"))
            whole = [weights.sha256, best.sha256] == state["sha256"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _damaged(path) from error
        if not whole:
            raise _damaged(path)
        return Progress(weights.weights, best.weights, chosen, history)

    def save(self, progress: Progress) -> None:
        """Keep a round; the one before it is removed when this one counts."""
        if self._folder is None:
            return
        done = len(progress.history)
        names = {"weights": f"weights-{done}.safetensors", "best": f"best-{done}.safetensors"}
        kept = {"weights": progress.weights, "best": progress.best}
        hashes = [save_tuned(self._settings, kept[name], self._folder / file) for name, file in names.items()]
        state = {"history": progress.history, "chosen": asdict(progress.chosen), "sha256": hashes, **names}
        write_json(self._folder / STATE_FILE, state)
        for path in self._folder.glob("*.safetensors"):
            if path.name not in names.values():
                path.unlink()

    def remove(self) -> None:
        """The job is done."""
        if self._folder is None:
            return
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._folder.parent.is_dir() and not any(self._folder.parent.iterdir()):
            self._folder.parent.rmdir()

    def _read(self, path: Path) -> Checkpoint:
        return load_weights(path, spec=tuned_spec(self._settings))


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(f"{path}: a round that was kept is damaged; remove its folder to start from Theta again")
