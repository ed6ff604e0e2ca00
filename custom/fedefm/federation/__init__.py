"""A real federation on one machine: provisioned kits, mutual TLS, a job submitted as the lead would.

provision(root)                  kits of a server, hospitals and people, on free ports of the loopback
running(place, folders)          their processes, from start to end of a `with` block
Console(place, "lead@...")       the `nvflare` command of one person
rehearse(out)                    all of it, and Theta compared with the one-process run
"""

from fedefm.federation.console import Console
from fedefm.federation.place import Place, provision
from fedefm.federation.rehearsal import rehearse
from fedefm.federation.sites import running

__all__ = ["Console", "Place", "provision", "rehearse", "running"]
