"""`fedefm doctor`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fedefm.commands.parser import add_command
from fedefm.errors import FedefmError

EXAMPLES = """examples:
  cd ~/hospital-a && fedefm doctor
  fedefm doctor ~/hospital-a
  fedefm doctor ~/hospital-a --data /data/endovascular --root-fingerprint 3F:97:48:...
  fedefm doctor ~/hospital-a --offline --json
  fedefm doctor consortium/fedefm       (where the kits were made: modes, and whose certificate ends when)
exit code 0: nothing failed (a [WARN] does not count); 1: something did
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "doctor", "check a kit and this machine before the site starts", EXAMPLES)
    parser.add_argument(
        "kit",
        type=Path,
        nargs="?",
        default=Path(),
        help="the kit: the folder that holds startup/ and local/ (default: the current folder)",
    )
    parser.add_argument("--data", type=Path, help="read every image and mask of this folder as training would")
    parser.add_argument("--show-names", action="store_true", help="name the files; not for whom you send this to")
    parser.add_argument(
        "--root-fingerprint", metavar="SHA256", help="of the consortium's rootCA.pem, from its letter or its page"
    )
    parser.add_argument("--offline", action="store_true", help="do not try to reach the server")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from fedefm.doctor import examine, ok

    found = examine(
        options.kit,
        data_folder=options.data,
        show_names=options.show_names,
        root_fingerprint=options.root_fingerprint,
        offline=options.offline,
    )
    if options.json:
        print(json.dumps({"ok": ok(found), "findings": [one.to_json() for one in found]}, indent=2))
    else:
        print(*found, sep="\n")
    return 0 if ok(found) else FedefmError.exit_code
