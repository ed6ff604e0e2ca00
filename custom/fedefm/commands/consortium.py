"""`fedefm consortium`: who takes part, each change by one command on the administrator's machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fedefm.commands.parser import add_command

KITS_EXAMPLES = """examples:
  fedefm consortium kits                                        project.yml, into the folder consortium
  fedefm consortium kits --project project.yml --workspace consortium --out to-send
"""
ADD_EXAMPLES = """examples:
  fedefm consortium add hospital-d --org hospital_d
  fedefm consortium add hospital-e --org hospital_e --request requests/hospital-e.csr      it made its own key
  fedefm consortium add it@hospital-d.example.org --org hospital_d --role org_admin
"""
REMOVE_EXAMPLES = """examples:
  fedefm consortium remove hospital-d --kit consortium/fedefm/prod_00/admin@fedefm.example.org
Its certificates go onto the deny list (fedefm-revoked.json), which every site then takes with `fedefm site revoked`; it
leaves the project file; and a hospital is shut out of the server at once, also of a running job.
"""
SUSPEND_EXAMPLES = """examples:
  fedefm consortium suspend hospital-d --kit admin@fedefm.example.org
  fedefm consortium resume hospital-d --kit admin@fedefm.example.org
"""
RENEW_EXAMPLES = """examples:
  fedefm consortium renew hospital-a
  fedefm consortium renew hospital-a hospital-b lead@fedefm.example.org --out to-send
The old certificate stays good until its end: where its key was lost, revoke it first (fedefm trust revoke).
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("consortium", help="add, remove, suspend or renew who takes part; make the kits")
    kinds = parser.add_subparsers(required=True, metavar="COMMAND")
    kits = add_command(kinds, "kits", "make the kits of a project file, and zip those that are new", KITS_EXAMPLES)
    _add_places(kits)
    kits.set_defaults(run=_kits)
    new = add_command(kinds, "add", "let a hospital or a person take part, and make its kit", ADD_EXAMPLES)
    new.add_argument("name", help="of the hospital, or the person's address")
    new.add_argument("--org", required=True, help="its organisation: letters, digits and _")
    new.add_argument("--role", help="of a person: project_admin, org_admin, lead or member")
    new.add_argument("--request", type=Path, help="certificate request of a hospital that made its own key")
    _add_places(new)
    new.set_defaults(run=_add)
    old = add_command(kinds, "remove", "let somebody take part no more", REMOVE_EXAMPLES)
    old.add_argument("name", help="of the hospital or person")
    _add_admin(old)
    _add_places(old)
    old.set_defaults(run=_remove)
    for word, text in (("suspend", "shut a hospital out for a while"), ("resume", "let it in again")):
        pause = add_command(kinds, word, text, SUSPEND_EXAMPLES)
        pause.add_argument("name", help="of the hospital")
        _add_admin(pause)
        pause.set_defaults(run=_pause, word=word)
    renew = add_command(kinds, "renew", "make new certificates, and the kits with them", RENEW_EXAMPLES)
    renew.add_argument("names", nargs="+", metavar="NAME", help="of a hospital, the server or a person")
    _add_places(renew)
    renew.set_defaults(run=_renew)


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--project", type=Path, default=Path("project.yml"), help="project file (default: %(default)s)")
    parser.add_argument(
        "--workspace",
        type=Path,
        default=Path("consortium"),
        help="folder of the kits and the CA (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, default=Path("to-send"), help="folder of the zips (default: %(default)s)")


def _add_admin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kit", type=Path, required=True, help="the project admin's kit")


def _kits(options: argparse.Namespace) -> int:
    from fedefm.federation.membership import Consortium, make_kits, pack
    from fedefm.kits.kit import open_kit

    made = make_kits(Consortium(options.project, options.workspace))
    for kit in made:
        own = "" if open_kit(kit).key.is_file() else ", without a key: it has its own"
        print(f"{pack(kit, options.out)}: new kit of {kit.name}{own}")
    print("send each by hand or encrypted, and the fingerprint by another way" if made else "all kits are as they were")
    return 0


def _add(options: argparse.Namespace) -> int:
    from fedefm.federation.membership import add, remove

    add(options.project, options.name, options.org, role=options.role, request=options.request)
    try:
        return _kits(options)
    except BaseException:
        remove(options.project, options.name)  # the file is as it was, as no kit was made
        raise


def _remove(options: argparse.Namespace) -> int:
    from fedefm.commands.trust import revoke_and_tell
    from fedefm.federation.membership import CLIENT, Consortium, removable_type, remove

    consortium = Consortium(options.project, options.workspace)
    is_hospital = removable_type(options.project, options.name) == CLIENT  # before anything is revoked for good
    revoke_and_tell([options.name], options.kit, consortium.folder, Path("fedefm-revoked.json"))
    remove(options.project, options.name)
    print(f"{options.project}: {options.name} is taken out")
    return _call("disable-client", options) if is_hospital else 0


def _pause(options: argparse.Namespace) -> int:
    return _call("disable-client" if options.word == "suspend" else "enable-client", options)


def _call(command: str, options: argparse.Namespace) -> int:
    from fedefm.federation.console import Console
    from fedefm.kits.kit import open_kit

    kit = open_kit(options.kit)
    Console(kit.folder.resolve()).call("system", command, options.name, "--force")
    print(f"{options.name}: {'shut out of the server' if command == 'disable-client' else 'let in again'}")
    return 0


def _renew(options: argparse.Namespace) -> int:
    from fedefm.federation.membership import Consortium, forget_certificate

    copy = forget_certificate(Consortium(options.project, options.workspace), options.names)
    print(f"{copy}: the CA's memory as it was before")
    return _kits(options)
