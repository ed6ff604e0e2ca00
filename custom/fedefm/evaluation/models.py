"""Which files of finished jobs are models, and whether they may be measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fedefm.errors import CheckpointError, ConfigError
from fedefm.evaluation.settings import Evaluation
from fedefm.models.checkpoint import Checkpoint, load_weights
from fedefm.models.classifier import CLASSIFIER
from fedefm.trust import JOB_ROLES, Limits, verify_folder

SUFFIX = ".safetensors"


def files_of(folder: Path) -> dict[str, Path]:
    """The weights that a job left in its folder, by their names: Theta or tuned ones first, then those of hospitals.

    Raises:
        CheckpointError: there are none.
    """
    found = [*sorted(folder.glob(f"*{SUFFIX}")), *sorted((folder / "models").glob(f"*{SUFFIX}"))]
    if not found:
        raise CheckpointError(f"{folder}: holds no weights ({SUFFIX}); name the folder of a finished job")
    return named(found)


def named(paths: Iterable[Path]) -> dict[str, Path]:
    """Weights by the names of their files.

    Raises:
        ConfigError: two have one name.
    """
    models: dict[str, Path] = {}
    for path in paths:
        if path.stem in models:
            raise ConfigError(f"{path}: a model '{path.stem}' is there already; measure one of them in another run")
        models[path.stem] = path
    return models


def find_models(
    storage: Path, jobs: Sequence[str], root: Path | None = None, limits: Limits | None = None
) -> dict[str, Path]:
    """The weights of finished jobs in the server's folder of models.

    Args:
        storage: has one folder a job, named by its id.
        jobs: ids, checked.
        root: the consortium's root certificate; with it each folder must be signed for its id.
        limits: the most that a signed folder may hold.

    Raises:
        TrustError: unsigned, signed by someone who may not, or changed since.
        CheckpointError: a job has none. ConfigError: two models have one name.
    """
    for job in jobs:
        if root is not None:
            verify_folder(storage / job, root, kind="model", roles=JOB_ROLES, subject=job, limits=limits)
    return named(path for job in jobs for path in files_of(storage / job).values())


def read_models(files: Mapping[str, Path]) -> dict[str, Checkpoint]:
    """Read every model, once a command: all later steps take the values that come from here.

    Raises:
        CheckpointError: one is missing or damaged.
    """
    return {name: load_weights(path) for name, path in files.items()}


def check_models(models: Mapping[str, Checkpoint], settings: Evaluation) -> None:
    """Refuse models that cannot be measured in a job, before any hospital is asked.

    Raises:
        CheckpointError: one is of another network, size or class list than the job's.
    """
    for found in models.values():
        _check_model(found, settings)


def _check_model(found: Checkpoint, settings: Evaluation) -> None:
    path = found.file
    if found.spec.architecture == CLASSIFIER:
        raise CheckpointError(f"{path}: says what is present and marks no pixels; its figures are in its own report")
    if found.classes != settings.classes:
        raise CheckpointError(
            f"{path}: knows {len(found.classes)} classes ({', '.join(found.classes)}), the run measures "
            f"{len(settings.classes)} ({', '.join(settings.classes)}); measure it in a run of its own"
        )
    channels = len(found.classes) + 1
    if found.spec.architecture_hash(channels, found.size) != settings.model.architecture_hash(channels, settings.size):
        raise CheckpointError(
            f"{path}: holds {found.spec.architecture} with '{found.spec.encoder}' at {found.size} pixels, the run "
            f"measures {settings.model.architecture} with '{settings.model.encoder}' at {settings.size}; "
            "measure it in a run of its own"
        )
