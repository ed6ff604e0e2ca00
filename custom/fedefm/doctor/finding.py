"""What one check found: a status, a line, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

PASS, WARN, FAIL = "PASS", "WARN", "FAIL"
WITHOUT_REGISTRY = (
    "or from a wheel house: pip install --no-index --find-links DIR --require-hashes -r DIR/requirements.txt"
)
REINSTALL = "install fedefm again with its constraints.txt, then look once more"


@dataclass(frozen=True)
class Finding:
    """A line of the report.

    Attributes:
        status: `PASS`, `WARN` or `FAIL`.
        check: what was looked at, in a word or two.
        text: what was found.
        remedy: what to do; empty for a pass.
    """

    status: str
    check: str
    text: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.status not in (PASS, WARN, FAIL) or (self.status != PASS and not self.remedy):
            raise ValueError(f"{self.check}: a {self.status} needs a known status and a remedy")

    def __str__(self) -> str:
        return f"[{self.status}] {self.check}: {self.text}" + (f"\n       -> {self.remedy}" if self.remedy else "")

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


def passed(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(PASS, check, text)


def warned(check: str, text: str, remedy: str) -> Finding:
    """Works, but somebody should look."""
    return Finding(WARN, check, text, remedy)


def failed(check: str, text: str, remedy: str) -> Finding:
    """The site must not start."""
    return Finding(FAIL, check, text, remedy)


def failed_with(check: str, error: Exception) -> Finding:
    """A FAIL made of one of our own errors, which say what is wrong and, after the last semicolon, what to do."""
    text, _, remedy = str(error).rpartition("; ")
    return failed(check, text or str(error), remedy if text else "ask the consortium's administrator")


def guarded(check: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Run a check; whatever it raises is a FAIL, never a silence."""
    try:
        return list(look())
    except ImportError as error:
        return [failed(check, f"could not be looked at ({error})", REINSTALL)]
    except Exception as error:
        text = f"could not be looked at ({type(error).__name__}: {error})"
        return [failed(check, text, "send this line to the consortium")]
