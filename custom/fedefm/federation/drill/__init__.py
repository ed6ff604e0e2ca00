"""The fault drill: named faults in one job of a real federation on this machine, and what became of each promise.

read_fault(Kind.KILL, "b@3", hospitals)   what a person types
PROMISES                                  what is promised of each fault, and the checks of it
drill(out, faults)                        both jobs, and a verdict for each fault
"""

from fedefm.federation.drill.faults import EXAMPLES, FORMS, Fault, Kind, read_fault, usual_faults
from fedefm.federation.drill.promises import PROMISES
from fedefm.federation.drill.run import DEADLINE_SECONDS, PATIENCE_SECONDS, drill

__all__ = [
    "DEADLINE_SECONDS",
    "EXAMPLES",
    "FORMS",
    "PATIENCE_SECONDS",
    "PROMISES",
    "Fault",
    "Kind",
    "drill",
    "read_fault",
    "usual_faults",
]
