"""What a finished run shows: `report.json`, the page `report.html` beside it, and tables on the terminal."""

from fedefm.report.overlay import Overlay
from fedefm.report.schema import validate_report
from fedefm.report.terminal import print_comparison, print_summary
from fedefm.report.write import write_report

__all__ = ["Overlay", "print_comparison", "print_summary", "validate_report", "write_report"]
