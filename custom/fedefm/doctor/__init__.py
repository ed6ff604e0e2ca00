"""`fedefm doctor`: may this kit start on this machine? Each fault comes with what to do about it."""

from fedefm.doctor.examine import examine, ok
from fedefm.doctor.finding import Finding

__all__ = ["Finding", "examine", "ok"]
