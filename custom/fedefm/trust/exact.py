"""JSON that has one reading and one writing."""

from __future__ import annotations

import json
from typing import Any


def canonical(plain: Any) -> bytes:
    """JSON in one exact form: sorted keys, ASCII, fixed spaces."""
    return (json.dumps(plain, sort_keys=True, ensure_ascii=True, allow_nan=False, indent=1) + "\n").encode("ascii")


def strict_json(data: bytes) -> Any:
    """JSON without doubt: no key twice, no NaN, no depth that ends the interpreter.

    Raises:
        ValueError: the text is no such JSON.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        plain = dict(pairs)
        if len(plain) != len(pairs):
            raise ValueError("a key stands twice")
        return plain

    def refuse(name: str) -> float:
        raise ValueError(f"{name} is not a number")

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=once, parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
