"""Server and hospital tell each other their versions with every task, and say in words where they cannot work together.

Settings, messages and figures are the same within one series: versions with the same first two numbers. Torch is not
compared: a hospital may have the build that its GPU needs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

from nvflare.apis.shareable import Shareable

from fedefm.errors import ProtocolError

PACKAGES = ("fedefm", "nvflare")
HEADER = "fedefm_versions"
_VERSION = re.compile(r"(\d{1,9}\.\d{1,9})(?!\d)[0-9A-Za-z.+!-]{0,32}")


class VersionsError(ProtocolError):
    """Server and hospital have versions that cannot work together."""


@cache
def own() -> Mapping[str, str]:
    """The versions here."""
    return {name: version(name) for name in PACKAGES}


def tell(message: Shareable) -> Shareable:
    """Let a message say which versions its sender has."""
    message.set_header(HEADER, dict(own()))
    return message


def check_server(message: Any) -> None:
    """Refuse a task of a server with which this hospital cannot work.

    Raises:
        VersionsError: in words, for the hospital's own log.
    """
    if words := differing(message, "the server", "this hospital"):
        raise VersionsError(words)


def differing(message: Any, sender: str, here: str) -> str | None:
    """Why these two cannot work together; None where they can.

    Args:
        message: of the other side; what it says of versions is hostile until looked at.
        sender: the other side, in words.
        here: this side, in words.
    """
    theirs = message.get_header(HEADER) if isinstance(message, Shareable) else None
    if not isinstance(theirs, dict):
        return f"{sender} names no versions, so its fedefm is older than {own()['fedefm']}; install the same at both"
    for name, mine in own().items():
        found = theirs.get(name)
        if not isinstance(found, str) or not (match := _VERSION.fullmatch(found)):
            return f"{sender} names no version of {name}; install the same fedefm at both"
        if match[1] != ".".join(mine.split(".")[:2]):
            return f"{sender} has {name} {found}, {here} has {mine}; install the same fedefm at both"
    return None
