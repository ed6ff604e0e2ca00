"""Settings of a job from JSON-able values: each is checked against its type, and an unknown name is answered."""

from __future__ import annotations

import dataclasses
import difflib
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from fedefm.errors import ConfigError

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")

_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: _is_finite(value),
    "str": lambda value: isinstance(value, str),
    "str | None": lambda value: value is None or isinstance(value, str),
    "tuple[str, ...]": lambda value: isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value),
    "Mapping[str, Any]": lambda value: isinstance(value, Mapping),
}


def build(cls: Any, plain: Any, where: str) -> Any:
    """Build a settings class from JSON-able values; a field that is a settings class itself is built the same way.

    Raises:
        ConfigError: an unknown key (with the nearest known one), or an ill-typed value.
    """
    if not isinstance(plain, Mapping):
        raise ConfigError(f"{where}: must be an object with named values")
    fields, hints = {f.name: f for f in dataclasses.fields(cls)}, get_type_hints(cls)
    for key in plain:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 1)
            raise ConfigError(f"{where}: '{key}' is unknown" + (f"; did you mean '{near[0]}'?" if near else ""))
    values = {}
    for key, value in plain.items():
        nested = dataclasses.is_dataclass(hints[key])
        values[key] = build(hints[key], value, key) if nested else _value(key, value, str(fields[key].type), where)
    try:
        return cls(**values)
    except TypeError as error:
        raise ConfigError(f"{where}: {error}") from error


def check_positive(value: Any, *names: str) -> None:
    """Refuse a settings value one of whose fields is not above 0.

    Raises:
        ConfigError: one is 0 or below; the message names it.
    """
    for name in names:
        if not getattr(value, name) > 0:
            raise ConfigError(f"{name} must be above 0, not {getattr(value, name)}")


def check_id(text: str) -> str:
    """A job's id as it came; never a path.

    Raises:
        ConfigError: it has characters that no id has.
    """
    if not _ID.fullmatch(text):
        raise ConfigError(f"{text[:80]!r}: not the id of a job; letters, digits, '-' and '_' only, no path")
    return text


def _value(key: str, value: Any, kind: str, where: str) -> Any:
    """Check a JSON value against the field's annotation, so that a string never lands where a number belongs."""
    if not _KINDS[kind](value):
        raise ConfigError(f"{where}: {key} must be of type {kind}, not {value!r:.60}")
    return tuple(value) if kind.startswith("tuple") else float(value) if kind == "float" else value


def _is_finite(value: Any) -> bool:
    """Whether a number fits a float: a comparison that NaN, infinity and larger integers fail."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and abs(value) <= sys.float_info.max
