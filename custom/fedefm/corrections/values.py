"""Which value of a silo's masks stands for which label of a folder of corrections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fedefm.corrections.looked_at import LookedAt
from fedefm.corrections.manifest import Corrections
from fedefm.data.manifest import BACKGROUND, FILE_NAME, Manifest, canonical
from fedefm.errors import ConfigError, DataError


def mask_values(
    manifest: Manifest, corrections: Corrections, seen: Sequence[LookedAt], renames: Mapping[str, str]
) -> NDArray[np.unsignedinteger]:
    """The silo's mask value of each label of the folder, background first.

    Args:
        manifest: of the silo.
        corrections: of the folder.
        seen: masks that are to come in.
        renames: class of the folder to class of the silo, where the two differ.

    Raises:
        DataError: the silo annotates a class that the masks do not know, or lacks one that they hold.
        ConfigError: `renames` names a class that the folder does not have.
    """
    if unknown := sorted(set(renames) - set(corrections.classes)):
        raise ConfigError(f"--classes {unknown[0]}: the corrections have {', '.join(corrections.classes)}")
    named = [renames.get(name, name) for name in corrections.classes]
    if missing := [name for name in (*manifest.annotated, *manifest.test_annotated) if name not in named]:
        raise DataError(
            f"{FILE_NAME} annotates {missing[0]!r}, which these masks do not know and would count as absent; "
            "take a model that knows it, or a silo of its own"
        )
    value_of = {name: value for value, name in manifest.classes.items()}
    used = {int(label) for one in seen for label in np.unique(one.labels)} - {0}
    table: NDArray[np.unsignedinteger] = np.full(
        len(named) + 1, value_of[BACKGROUND], np.min_scalar_type(max(manifest.classes))
    )
    for label, name in enumerate(named, 1):
        if name not in value_of and label in used:
            alike = [one for one in value_of if canonical(one) == canonical(name)]
            remedy = f"say --classes {corrections.classes[label - 1]}={alike[0] if alike else BACKGROUND}"
            raise DataError(f"class {name!r} is not in the classes of {FILE_NAME}; declare it there, or {remedy}")
        table[label] = value_of.get(name, value_of[BACKGROUND])
    return table
