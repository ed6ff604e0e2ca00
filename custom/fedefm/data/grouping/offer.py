"""The lines for `dataset.json` that keep together what belongs together."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from fedefm.data.grouping.names import expression_for
from fedefm.data.manifest import SPLIT_NAMES


def lines_for(patient_of: Mapping[str, str], split_of: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What `patients`, and `splits` if there are, have to say for these groups.

    Args:
        patient_of: stem to group.
        split_of: stem to the split that is stated now; a group goes where most of it is. None where none is stated.

    Returns:
        `patients`: an expression where one does it, else the files of each group of several. `splits` with `split_of`.
    """
    expression = expression_for(patient_of)
    members: dict[str, list[str]] = {}
    for stem, patient in patient_of.items():
        members.setdefault(patient, []).append(stem)
    several = {patient: stems for patient, stems in members.items() if len(stems) > 1}
    found: dict[str, Any] = {"patients": expression or several}
    if split_of is not None:
        names = {patient: _name(expression, patient, stems[0]) for patient, stems in members.items()}
        found["splits"] = {split: [] for split in SPLIT_NAMES}
        for patient, stems in members.items():
            found["splits"][_most(split_of[stem] for stem in stems)].append(names[patient])
    return found


def _name(expression: str | None, patient: str, stem: str) -> str:
    import re

    if expression is None:
        return patient
    found = re.search(expression, stem)
    assert found is not None  # noqa: S101 the expression was tried on every stem
    return found["patient"]


def _most(splits: Any) -> str:
    """The commonest, and of several that are as common the first of train, val and test."""
    counts = Counter(splits)
    return max(SPLIT_NAMES, key=lambda split: (counts[split], -SPLIT_NAMES.index(split)))
