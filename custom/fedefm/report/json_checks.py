"""Small checks of JSON values, to be composed into the description of a file's content.

A check takes a value and the key path that leads to it, and raises `ConfigError` when the value does not fit.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from fedefm.errors import ConfigError

Check = Callable[[Any, str], None]


def refuse(where: str, expected: str, value: Any) -> ConfigError:
    """The error for a value of the wrong kind: names the key, what belongs there and what was found."""
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return ConfigError(f"report: '{where}' must be {expected}, not {shown} of type {type(value).__name__}")


def text(value: Any, where: str) -> None:
    """Accept a string."""
    if not isinstance(value, str):
        raise refuse(where, "text", value)


def integer(value: Any, where: str) -> None:
    """Accept an integer; a boolean is none."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise refuse(where, "an integer", value)


def count(value: Any, where: str) -> None:
    """Accept an integer of at least 0."""
    integer(value, where)
    if value < 0:
        raise refuse(where, "an integer of at least 0", value)


def number(value: Any, where: str) -> None:
    """Accept a finite number; JSON knows neither NaN nor infinity."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise refuse(where, "a finite number", value)


def amount(value: Any, where: str) -> None:
    """Accept a finite number of at least 0."""
    number(value, where)
    if value < 0:
        raise refuse(where, "a number of at least 0", value)


def score(value: Any, where: str) -> None:
    """Accept a number from 0 to 1, or None for a class that is not annotated."""
    if value is None:
        return
    number(value, where)
    if not 0 <= value <= 1:
        raise refuse(where, "a number from 0 to 1 or null", value)


def optional(check: Check) -> Check:
    """Accept None, or what `check` accepts."""

    def checked(value: Any, where: str) -> None:
        if value is not None:
            check(value, where)

    return checked


def list_of(check: Check) -> Check:
    """Accept a list whose every element passes `check`."""

    def checked(value: Any, where: str) -> None:
        if not isinstance(value, list | tuple):
            raise refuse(where, "a list", value)
        for index, element in enumerate(value):
            check(element, f"{where}.{index}")

    return checked


def names(value: Any, where: str) -> None:
    """Accept a list of distinct strings."""
    list_of(text)(value, where)
    if len(set(value)) != len(value):
        raise refuse(where, "a list of distinct names", value)


def mapping_of(check: Check, key: Check = text) -> Check:
    """Accept a mapping with text keys that pass `key` and values that pass `check`."""

    def checked(value: Any, where: str) -> None:
        if not isinstance(value, Mapping):
            raise refuse(where, "a mapping", value)
        for name, element in value.items():
            key(name, f"{where} (a key)")
            check(element, f"{where}.{name}")

    return checked


def round_name(value: Any, where: str) -> None:
    """Accept a round number written as text, as JSON keys are: `"0"`, `"12"`."""
    if not (isinstance(value, str) and value.isascii() and value.isdigit()):
        raise refuse(where, 'a round number such as "0"', value)


def plain(value: Any, where: str) -> None:
    """Accept anything that JSON holds without loss of meaning: text, numbers, booleans, None, lists and mappings."""
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, Mapping):
        _PLAIN_MAPPING(value, where)
    elif isinstance(value, list | tuple):
        _PLAIN_LIST(value, where)
    else:
        number(value, where)


_PLAIN_MAPPING = mapping_of(plain)
_PLAIN_LIST = list_of(plain)
_ANY_MAPPING = mapping_of(lambda _value, _where: None)


def record(required: Mapping[str, Check], optional_keys: Mapping[str, Check] | None = None) -> Check:
    """Accept a mapping that holds every key of `required`; the known keys must pass their checks."""
    known = {**required, **(optional_keys or {})}

    def checked(value: Any, where: str) -> None:
        _ANY_MAPPING(value, where)
        for name in required:
            if name not in value:
                raise ConfigError(f"report: key '{join(where, name)}' is missing; write it before the report is made")
        for name, check in known.items():
            if name in value:
                check(value[name], join(where, name))

    return checked


def join(where: str, name: str) -> str:
    """The key path of `name` inside `where`."""
    return f"{where}.{name}" if where else name
