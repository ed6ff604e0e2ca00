"""The weights that every silo of a job starts from."""

from __future__ import annotations

from dataclasses import replace

from fedefm.errors import CheckpointError
from fedefm.foundation.settings import Settings
from fedefm.models.build import Weights, initial_weights
from fedefm.models.checkpoint import Checkpoint
from fedefm.training.theta import check_named


def start_weights(settings: Settings, theta: Checkpoint | None) -> Weights:
    """An earlier Theta's weights as they are; without one, random ones from the seed: the same seed, the same bytes.

    Raises:
        CheckpointError: the Theta is not what the job names, or knows other classes than the job; or the job names one
            by its fingerprint alone.
    """
    if theta is None and settings.start_sha256:
        raise CheckpointError(
            f"start_sha256: no Theta was given that could be {settings.start_sha256[:12]}...; name its job in 'start'"
        )
    if theta is None:
        return initial_weights(settings.model, len(settings.classes) + 1, settings.size, settings.schedule.seed)
    check_named(theta, settings.model, settings.size, settings.start_sha256)
    if theta.classes != settings.classes:
        raise CheckpointError(
            f"{theta.file}: knows the classes {', '.join(theta.classes)}, the job {', '.join(settings.classes)}; "
            "name the same ones in the same order"
        )
    return theta.weights


def with_start_named(settings: Settings, theta: Checkpoint | None) -> Settings:
    """The settings with the fingerprint of the Theta that was read: then they fix the start weights alone."""
    return settings if theta is None else replace(settings, start_sha256=theta.sha256)
