"""What a finished run shows: `report.json`, the page `report.html` beside it, and tables on the terminal.

A name is imported when it is first used: curves take seconds to import, and a page of a film has none.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedefm.report.overlay import Overlay
    from fedefm.report.schema import validate_report
    from fedefm.report.terminal import print_comparison, print_summary
    from fedefm.report.write import write_report

__all__ = ["Overlay", "print_comparison", "print_summary", "validate_report", "write_report"]

_HOMES = {
    "Overlay": "fedefm.report.overlay",
    "print_comparison": "fedefm.report.terminal",
    "print_summary": "fedefm.report.terminal",
    "validate_report": "fedefm.report.schema",
    "write_report": "fedefm.report.write",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, and keep it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fedefm.report' has no attribute '{name}'")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value
