"""`fedefm trust sign`, `verify`, `fingerprint` and `revoke`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
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
REVOKE_EXAMPLES = """examples:
  fedefm trust revoke hospital-c --kit lead --consortium consortium/fedefm      all its certificates so far
  fedefm trust revoke 3f9a41... --kit lead --out fedefm-revoked.json            one certificate, by its serial number
  fedefm trust revoke stolen/client.crt --kit admin@fedefm.example.org
Where the file is there already, it is added to. Send it to every site; each takes it with `fedefm site revoked`.
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    trust = commands.add_parser("trust", help="sign a job, a kit or models, or verify who signed them")
    kinds = trust.add_subparsers(required=True, metavar="COMMAND")
    _add_sign(kinds)
    _add_verify(kinds)
    _add_fingerprint(kinds)
    _add_revoke(kinds)


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


def _add_revoke(commands: Any) -> None:
    parser = add_command(commands, "revoke", "put certificates on the consortium's deny list", REVOKE_EXAMPLES)
    parser.add_argument("what", nargs="+", help="a participant's name, a serial number, or a certificate file")
    parser.add_argument("--kit", type=Path, required=True, help="your kit: a lead's or a project admin's")
    parser.add_argument("--consortium", type=Path, help="folder of the provisioning, for names")
    parser.add_argument("--out", type=Path, default=Path("fedefm-revoked.json"), help="the list (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_revoke)


def _revoke(options: argparse.Namespace) -> int:
    revoke_and_tell(options.what, options.kit, options.consortium, options.out, as_json=options.json)
    return 0


def revoke_and_tell(
    what: Sequence[str], kit: Path, consortium: Path | None, out: Path, *, as_json: bool = False
) -> None:
    """Put certificates onto the list in a file, and print it.

    Args:
        what: names, serial numbers or files of certificates.
        kit: of whoever signs.
        consortium: folder of the kits, for names.
        out: the list; begun anew where there is none.
        as_json: for machines.
    """
    from fedefm.files import write_whole
    from fedefm.kits.kit import open_kit
    from fedefm.trust.revoked import NONE, revoke, verify

    own = open_kit(kit)
    before = verify(out.read_bytes(), own.root) if out.exists() else NONE
    more = [found for one in what for found in _certificates(one, consortium)]
    made, data = revoke(before, more, own.certificate, own.key)
    write_whole(out, data)
    if as_json:
        print(json.dumps({"number": made.number, "file": str(out), "revoked": made.entries}, indent=2))
        return
    for one in made.entries:
        print(f"{one['since']}  {one['serial']}  {one['name']}")
    print(f"{out}: deny list number {made.number}; each site: fedefm site revoked KIT {out}")


def _certificates(what: str, consortium: Path | None) -> list[tuple[str, str]]:
    """Serial number and name of each certificate that is meant."""
    from fedefm.errors import ConfigError
    from fedefm.kits.kit import KIT_FOLDERS, open_kit
    from fedefm.trust.certificates import load_certificate, name_of
    from fedefm.trust.revoked import serial_of

    if Path(what).is_file():
        paths = [Path(what)]
    elif consortium is not None:
        paths = [open_kit(kit).certificate for kit in sorted(consortium.glob(f"{KIT_FOLDERS}/{what}"))]
    else:
        paths = []
    found = [load_certificate(path) for path in paths]
    if found:
        return sorted({(serial_of(one), name_of(one)) for one in found})
    bare = what.casefold().replace(":", "").lstrip("0")
    if not bare or len(bare) > 40 or set(bare) - set("0123456789abcdef"):
        where = "no kit there has that name" if consortium else "names need --consortium FOLDER"
        raise ConfigError(f"{what[:80]!r}: no certificate file and no serial number; {where}")
    return [(bare, "by its serial number")]


def _sign(options: argparse.Namespace) -> int:
    from fedefm.kits.kit import open_kit
    from fedefm.trust import sign_folder

    kind = _kind(options.folder)
    if kind == "job":
        from fedefm.flare.job_signing import sign_checked  # loads torch, for the network that the job names

        signed = sign_checked(options.folder, options.cert, options.key)
    elif kind in ("model", "report"):
        name = options.folder.resolve().name
        signed = (sign_folder(options.folder, options.cert, options.key, kind=kind, subject=name),)
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
    elif kind in ("model", "report"):
        roles = options.role or JOB_ROLES
        signed = (verify_folder(options.folder, options.root, kind=kind, roles=roles),)
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
    from fedefm.errors import ConfigError
    from fedefm.kits.kit import STARTUP
    from fedefm.report.write import HTML_NAME
    from fedefm.trust.job import META

    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; name a job, a kit, models or a report")
    if (folder / STARTUP).exists():
        return "kit"
    if (folder / META).is_file():
        return "job"
    if (folder / HTML_NAME).is_file():
        return "report"
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
