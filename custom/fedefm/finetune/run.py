"""A fine-tune job in one process, without FLARE: the oracle of the adapters, and what the few-shot curve uses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fedefm.exchange.events import Listener
from fedefm.exchange.in_process import InProcessTransport
from fedefm.finetune.network import start_weights
from fedefm.finetune.rounds import Tuned, tune
from fedefm.finetune.rounds_kept import FOLDER
from fedefm.finetune.settings import FineTune
from fedefm.finetune.tuner import Tuner
from fedefm.models.checkpoint import Checkpoint


def tune_in_process(
    settings: FineTune,
    folders: Mapping[str, Path],
    theta: Checkpoint | None,
    listen: Listener = lambda event: None,
    *,
    device: str = "cpu",
    keep: Path | None = None,
) -> Tuned:
    """Run a fine-tune job with all hospitals in this process.

    Args:
        settings: the job.
        folders: every hospital's images and labels.
        theta: where to start; None starts from random weights.
        listen: is told every event.
        device: of all hospitals.
        keep: folder in which hospitals that tune alone leave their weights, each in one of its own, and in which the
            rounds of a federated job are kept while it runs.

    Raises:
        FedefmError: too few hospitals took part, or the metric is never reported.
    """
    tuners = {
        name: Tuner(name, folder, settings, device=device, keep=None if keep is None else keep / name)
        for name, folder in sorted(folders.items())
    }
    rounds = None if keep is None else keep / FOLDER
    return tune(settings, sorted(folders), start_weights(theta, settings), InProcessTransport(tuners), listen, rounds)
