"""`fedefm rehearse`: faults on purpose, in a real federation on this machine, and whether each promise is kept."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedefm.commands.job_options import free_folder
from fedefm.commands.parser import add_command

if TYPE_CHECKING:
    from fedefm.federation.drill import Fault

TEXT = "play faults in a real federation on this machine, and hold what happens against what is promised"
EXAMPLES = """examples:
  fedefm rehearse
  fedefm rehearse --kill b@3 --slow a=4mbit
  fedefm rehearse --cut c@2:60 --freeze b@2 --restart server@3 --disable c@4 --out drills/autumn
  fedefm rehearse --project project.yml --kill hospital-b@2 --json

One job over mutual TLS, on free ports of the loopback, with synthetic images and keys of its own: no kit, key or server
of the consortium is touched, --project lends its names alone. A hospital is named in full or by a last part that only
one has; rounds count from 1. Without a fault the usual drill is played. --out gets drill.html and drill.json; the exit
code is 0 if every promise was kept, 1 if not, 2 for a fault that cannot be played.
"""
FAULTS = {
    "slow": ("HOSPITAL=RATE", "its line carries so much each way, such as a=4mbit, from beginning to end"),
    "cut": ("HOSPITAL@ROUND:SECONDS", "its line is cut for so long"),
    "freeze": ("HOSPITAL@ROUND[:SECONDS]", "it does and says nothing, until the job gives it up or for so long"),
    "kill": ("HOSPITAL@ROUND", "it loses its power, and is started again after the job"),
    "restart": ("server@ROUND", "the server loses its power, is started, and the job is submitted again"),
    "disable": ("HOSPITAL@ROUND", "the consortium suspends it"),
}


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "rehearse", TEXT, EXAMPLES)
    for name, (form, text) in FAULTS.items():
        parser.add_argument(
            f"--{name}", dest="faults", action="append", type=_typed(name), default=[], metavar=form, help=text
        )
    parser.add_argument("--project", type=Path, help="the consortium's project file (default: one of three hospitals)")
    parser.add_argument("--out", type=Path, help="new folder of the results (default: the next free runs/drill)")
    parser.add_argument("--seed", type=int, default=0, help="of data and jobs (default: %(default)s)")
    parser.add_argument(
        "--patience", type=_count, default=60, help="seconds until silent work is given up (default: %(default)s)"
    )
    parser.add_argument("--deadline", type=_count, default=900, help="most seconds of each job (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave kits, logs and data, as after a broken promise")
    parser.add_argument("--json", action="store_true", help="print drill.json; progress goes to stderr")
    parser.set_defaults(run=_rehearse)


def _typed(name: str) -> Callable[[str], tuple[str, str]]:
    return lambda text: (name, text)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 86400:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no number of seconds from 1 to 86400")
    return int(text)


def _rehearse(options: argparse.Namespace) -> int:
    from fedefm.commands.progress import Terminal
    from fedefm.federation.drill import drill
    from fedefm.report.drill import print_drill, write_drill

    faults = _faults(options.faults, options.project)
    out = options.out or free_folder(Path("runs") / "drill")
    for fault in faults:
        print(f"fault: {fault.words}", file=sys.stderr)
    with _ended_like_ctrl_c():
        summary = drill(
            out,
            faults,
            project=options.project,
            seed=options.seed,
            keep=options.keep,
            deadline=float(options.deadline),
            patience=options.patience,
            say=lambda step: print(f"{step} ...", file=sys.stderr, flush=True),
            on_event=Terminal(quiet=options.json),
        )
    page = write_drill(summary, out)
    if options.json:
        print(json.dumps(summary, indent=1))
    else:
        print_drill(summary)
        print(f"page: {page}")
    return 0 if summary["kept"] else 1


@contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """The system's signal to end, and a terminal that is closed, do what Ctrl-C does: else sites would go on alone."""

    def stop(number: int, frame: Any) -> None:
        signal.signal(number, signal.SIG_IGN)  # once: what follows ends the processes
        raise KeyboardInterrupt("stopped")

    wanted = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is not signal.SIG_IGN]  # nohup
    before = {one: signal.signal(one, stop) for one in wanted}
    try:
        yield
    finally:
        for one, earlier in before.items():
            signal.signal(one, earlier)


def _faults(typed: Sequence[tuple[str, str]], project: Path | None) -> list[Fault]:
    """What was typed, in its order; the usual drill where nothing was.

    Raises:
        ConfigError: a fault that cannot be read.
    """
    from fedefm.federation.drill import Kind, read_fault, usual_faults
    from fedefm.federation.place import hospitals_in

    hospitals = hospitals_in(project)
    return [read_fault(Kind(name), text, hospitals) for name, text in typed] or usual_faults(hospitals)
