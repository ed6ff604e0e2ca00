"""Settings from JSON-able values: each is checked against its type and range, and an unknown name is answered.

A settings class says in its type hints what it takes, and pydantic checks that it gets it. What pydantic finds is said
again in one line, as a `ConfigError` that names the setting.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar, dataclass_transform, get_args, get_type_hints

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated_dataclass

from fedefm.errors import ConfigError

T = TypeVar("T")

_SHA256 = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_CONFIG = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_UNKNOWN, _NO_OBJECT, _OWN_CHECK = "unexpected_keyword_argument", "dataclass_type", "value_error"
_MUST_BE = {
    "bool_type": "of type bool",
    "int_type": "of type int",
    "float_type": "of type float",
    "finite_number": "of type float and finite",
    "string_type": "of type str",
    "path_type": "of type str",
    "list_type": "of type list",
    "tuple_type": "of type list",
    "dict_type": "of type object",
    "mapping_type": "of type object",
    _NO_OBJECT: "an object with named values",
    "greater_than": "above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
    "multiple_of": "a multiple of {multiple_of}",
}


class Fault(NamedTuple):
    """The first thing that is wrong with a value.

    Attributes:
        kind: pydantic's word for it.
        path: keys and positions that lead to it from outside.
        text: what is wrong, in the words that follow its name.
    """

    kind: str
    path: tuple[str | int, ...]
    text: str


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def settings_class(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass whose values are checked against its type hints when it is made.

    A field may carry a range or a check of its own in `Annotated`; what binds several fields stands in `__post_init__`.
    Nothing is converted but an int where a float belongs. A wrong value raises `ConfigError`.
    """
    made: Any = validated_dataclass(frozen=True, config=_CONFIG)(cls)
    take = made.__init__

    @functools.wraps(take)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            take(self, *args, **kwargs)
        except ValidationError as error:
            raise ConfigError(_line(made, find_fault(error))) from error

    made.__init__ = init
    return made


@settings_class
class JsonSettings:
    """Base of the settings that are written as JSON."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_dict(cls: type[T], plain: Any) -> T:
        """Build from JSON-able values.

        Raises:
            ConfigError: an unknown key (with the nearest known one), an ill-typed or out-of-range value.
        """
        return build(cls, plain, "settings")


def build(cls: type[T], plain: Any, where: str) -> T:
    """Build a settings class from JSON-able values; a field that is a settings class itself is built the same way.

    The values are checked as JSON, where a list may stand for a tuple and an object for a settings class, and nothing
    else is converted.

    Args:
        cls: the class.
        plain: a mapping from its fields' names.
        where: what an error says first, such as the file.

    Raises:
        ConfigError: an unknown key (with the nearest known one), an ill-typed or out-of-range value.
    """
    try:
        return TypeAdapter(cls).validate_json(json.dumps(plain))
    except ValidationError as error:
        raise ConfigError(f"{where}: {_line(cls, find_fault(error))}") from error
    except (ConfigError, TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: {error}") from error


def load(cls: type[T], path: Path) -> T:
    """Read a settings class from a JSON file.

    Raises:
        ConfigError: the file is missing, not JSON, or has a wrong value; the message starts with the file.
    """
    try:
        plain = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid JSON ({error}); correct it") from error
    return build(cls, plain, str(path))


def load_small(cls: type[T], path: Path, most: int) -> T:
    """The same of a file from anywhere: no link, and of at most so many bytes.

    Raises:
        ConfigError: it is a link, too large, missing, not JSON, or has a wrong value.
    """
    if path.is_symlink() or not path.is_file() or path.stat().st_size > most:
        raise ConfigError(f"{path}: no file of at most {most} bytes, or a link; fetch it again")
    return load(cls, path)


def find_fault(error: ValidationError) -> Fault:
    """What pydantic found first; an unknown key comes before all else, as it explains a missing one."""
    found = min(error.errors(include_url=False), key=lambda one: one["type"] != _UNKNOWN)
    kind, known = found["type"], found.get("ctx", {})
    if kind == "missing":
        text = "is missing"
    elif kind == _OWN_CHECK:
        text = str(known["error"])
    elif kind in _MUST_BE:
        text = f"must be {_MUST_BE[kind].format(**known)}, not {found['input']!r:.60}"
    else:
        text = f"is wrong: {found['msg']}"
    return Fault(kind, found["loc"], text)


def one_of(names: Sequence[str]) -> AfterValidator:
    """The check that a text is one of `names`."""

    def check(text: str) -> str:
        if text not in names:
            raise ValueError(f"{text[:60]!r} is unknown; choose one of {', '.join(names)}")
        return text

    return AfterValidator(check)


def check_id(text: str) -> str:
    """A job's id as it came; never a path.

    Raises:
        ConfigError: it has characters that no id has.
    """
    if not _ID.fullmatch(text):
        raise ConfigError(f"{text[:80]!r}: not the id of a job; letters, digits, '-' and '_' only, no path")
    return text


def _check_classes(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or len(set(names)) != len(names) or "background" in names:
        raise ValueError("must name each foreground class once; background is implied")
    return names


def _check_sha256(text: str) -> str:
    if not _SHA256.fullmatch(text):
        raise ValueError("must be a SHA-256 in 64 hexadecimal digits")
    return text


ClassNames = Annotated[tuple[str, ...], AfterValidator(_check_classes)]
"""Foreground classes in label order, each once."""

JobId = Annotated[str, AfterValidator(check_id)]
"""The id of a finished job."""

Sha256 = Annotated[str, AfterValidator(_check_sha256)]
"""A SHA-256 in 64 hexadecimal digits, such as the fingerprint of weights."""

Share = Annotated[float, Field(ge=0, le=1)]
"""A number in [0, 1]."""

PositiveShare = Annotated[float, Field(gt=0, le=1)]
"""A number above 0 and not above 1."""


def _line(cls: Any, fault: Fault) -> str:
    """A fault of a settings class in one line: its section, its name, what is wrong."""
    names = [part for part in fault.path if isinstance(part, str)]
    if fault.kind == _NO_OBJECT:
        return ": ".join([*names, fault.text])
    *sections, name = names or ["settings"]
    place = "".join(f"{section}: " for section in sections)
    if fault.kind == _UNKNOWN:
        near = difflib.get_close_matches(name, _names_in(cls, sections), 1)
        return f"{place}{name!r:.60} is unknown" + (f"; did you mean '{near[0]}'?" if near else "")
    item = "".join(f".{part}" for part in fault.path if isinstance(part, int))
    return f"{place}{name}{item} {fault.text}"


def _names_in(cls: Any, sections: Sequence[str]) -> list[str]:
    """Names of the settings in a section of a settings class."""
    for section in sections:
        cls = _class_in(get_type_hints(cls).get(section))
        if cls is None:
            return []
    return [one.name for one in fields(cls)]


def _class_in(hint: Any) -> Any:
    """The settings class that a type hint is about: itself, or inside an optional value or a list."""
    if is_dataclass(hint):
        return hint
    return next((found for inner in get_args(hint) if (found := _class_in(inner)) is not None), None)
