"""What a source calls its labels, to mask values and class names; `--classes OLD=NEW` renames, merges or drops."""

from collections.abc import Iterable, Mapping

from fedefm.data.manifest import BACKGROUND
from fedefm.errors import ConfigError


def name_values(known: Mapping[int, str], wanted: Mapping[str, str]) -> dict[int, str]:
    """Class names of masks whose values stay as they are.

    Args:
        known: mask value to name, as the layout has it.
        wanted: value or known name to the name that is wanted; a new value is added.

    Raises:
        ConfigError: something is renamed that the source does not have.
    """
    classes = dict(known)
    for old, new in wanted.items():
        values = [value for value, name in known.items() if name == old]
        if not values and not old.isdecimal():
            raise ConfigError(f"--classes {old}={new}: the source has {_listed(known)}, no {old!r}")
        classes[values[0] if values else int(old)] = new
    return classes


def number_labels(labels: Iterable[str], wanted: Mapping[str, str]) -> tuple[dict[int, str], dict[str, int]]:
    """Numbers for labels that have only names.

    Args:
        labels: of the source, in its order.
        wanted: label to the name that is wanted; two labels with one name are one class, `background` drops a label.

    Returns:
        Mask value to class name, and label to mask value.

    Raises:
        ConfigError: a label is renamed that the source does not have, or nothing but background is left.
    """
    labels = list(dict.fromkeys(labels))
    if unknown := [old for old in wanted if old not in labels]:
        raise ConfigError(f"--classes {unknown[0]}={wanted[unknown[0]]}: the source has the labels {', '.join(labels)}")
    names = [wanted.get(label, label) for label in labels]
    classes = dict(enumerate(dict.fromkeys([BACKGROUND, *names])))
    if len(classes) < 2:
        raise ConfigError("no class is left; name at least one with --classes LABEL=NAME")
    number = {name: value for value, name in classes.items()}
    return classes, {label: number[name] for label, name in zip(labels, names, strict=True)}


def _listed(known: Mapping[int, str]) -> str:
    return ", ".join(f"{value} {name}" for value, name in known.items())
