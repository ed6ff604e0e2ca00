"""`fedefm trust sign`, `fedefm trust verify` and `fedefm trust fingerprint`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fedefm.commands.parser import add_command

SIGN_EXAMPLES = """examples:
  fedefm trust sign jobs/foundation --cert lead/startup/client.crt --key lead/startup/client.key
  fedefm trust sign kits/hospital-a --cert rootCA.pem --key rootCA.key
  fedefm trust sign models/JOB_ID --cert lead/startup/client.crt --key lead/startup/client.key
"""
VERIFY_EXAMPLES = """examples:
  fedefm trust verify jobs/foundation --root hospital-a/startup/rootCA.pem
  fedefm trust verify jobs/foundation --root hospital-a/startup/rootCA.pem --role lead
  fedefm trust verify kits/hospital-a --root rootCA.pem --json
"""
FINGERPRINT_EXAMPLES = """examples:
  fedefm trust fingerprint rootCA.pem
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    trust = commands.add_parser("trust", help="sign a job, a kit or models, or verify who signed them")
    kinds = trust.add_subparsers(required=True, metavar="COMMAND")
    _add_sign(kinds)
    _add_verify(kinds)
    _add_fingerprint(kinds)


def _add_sign(commands: Any) -> None:
    parser = add_command(
        commands, "sign", "sign a job, a kit or a folder of models; a job anew each time you submit", SIGN_EXAMPLES
    )
    parser.add_argument(
        "folder", type=Path, help="a FLARE job folder (meta.json), a kit (startup/) or models (*.safetensors)"
    )
    parser.add_argument(
        "--cert", type=Path, required=True, help="your certificate; for a kit the consortium's rootCA.pem"
    )
    parser.add_argument("--key", type=Path, required=True, help="its private key, mode 0600")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_sign)


def _add_verify(commands: Any) -> None:
    parser = add_command(commands, "verify", "check that a job folder or a kit is what was signed", VERIFY_EXAMPLES)
    parser.add_argument(
        "folder", type=Path, help="a FLARE job folder (meta.json), a kit (startup/) or models (*.safetensors)"
    )
    parser.add_argument("--root", type=Path, required=True, help="the consortium's rootCA.pem")
    parser.add_argument(
        "--role",
        action="append",
        help="who may have signed; again for more (default: a job lead, project_admin; a kit root)",
    )
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_verify)


def _add_fingerprint(commands: Any) -> None:
    parser = add_command(
        commands, "fingerprint", "print what hospitals compare with their letter", FINGERPRINT_EXAMPLES
    )
    parser.add_argument("certificate", type=Path, help="the consortium's rootCA.pem")
    parser.set_defaults(run=_fingerprint)


def _sign(options: argparse.Namespace) -> int:
    from fedefm.kits.kit import open_kit
    from fedefm.trust import sign_folder, sign_job

    kind = _kind(options.folder)
    if kind == "job":
        signed = sign_job(options.folder, options.cert, options.key)
    elif kind == "model":
        name = options.folder.resolve().name
        signed = (sign_folder(options.folder, options.cert, options.key, kind="model", subject=name),)
    else:
        name = open_kit(options.folder).name
        signed = (sign_folder(options.folder, options.cert, options.key, kind="kit", subject=name),)
    return _show("signed", signed, options)


def _verify(options: argparse.Namespace) -> int:
    from fedefm.kits.kit import open_kit
    from fedefm.trust import JOB_ROLES, KIT_ROLES, verify_folder, verify_job

    kind = _kind(options.folder)
    if kind == "job":
        signed = verify_job(options.folder, options.root, roles=options.role or JOB_ROLES)
    elif kind == "model":
        roles = options.role or JOB_ROLES
        signed = (verify_folder(options.folder, options.root, kind="model", roles=roles),)
    else:
        name, roles = open_kit(options.folder).name, options.role or KIT_ROLES
        signed = (verify_folder(options.folder, options.root, kind="kit", subject=name, roles=roles),)
    return _show("verified", signed, options)


def _fingerprint(options: argparse.Namespace) -> int:
    from fedefm.trust import fingerprint

    print(fingerprint(options.certificate))
    return 0


def _kind(folder: Path) -> str:
    """The kind of a folder, which decides who must have signed it: a kit stays one, whatever else lies in it."""
    from fedefm.kits.kit import STARTUP
    from fedefm.trust.job import META

    if (folder / STARTUP).exists():
        return "kit"
    if (folder / META).is_file():
        return "job"
    return "model" if any(folder.glob("*.safetensors")) else "kit"


def _show(word: str, signed: Any, options: argparse.Namespace) -> int:
    plain = [{"kind": one.kind, "subject": one.subject, "made": one.made, "files": len(one.files)} for one in signed]
    if options.json:
        print(json.dumps(plain, indent=2))
    else:
        print(
            *(f"{word}: {one['kind']} {one['subject']}, {one['files']} files, {one['made']}" for one in plain), sep="\n"
        )
    return 0
