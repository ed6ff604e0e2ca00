"""`fedefm consortium`: who takes part, each change by one command on the administrator's machine."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedefm.commands.parser import add_command

if TYPE_CHECKING:
    from fedefm.federation.membership import Consortium

KITS_EXAMPLES = """examples:
  fedefm consortium kits                                        project.yml, into the folder consortium
  fedefm consortium kits --project project.yml --workspace consortium --out to-send
  fedefm consortium kits hospital-a                             zip its kit once more, as it is
"""
ADD_EXAMPLES = """examples:
  fedefm consortium add hospital-d --org hospital_d
  fedefm consortium add hospital-e --org hospital_e --request requests/hospital-e.csr      it made its own key
  fedefm consortium add it@hospital-d.example.org --org hospital_d --role org_admin
"""
REMOVE_EXAMPLES = """examples:
  fedefm consortium remove hospital-d --kit admin@fedefm.example.org
Its certificates go onto the deny list (fedefm-revoked.json), which every site then takes with `fedefm site revoked`; it
leaves the project file; and a hospital is shut out of the server at once, also of a running job.
"""
SUSPEND_EXAMPLES = """examples:
  fedefm consortium suspend hospital-d --kit admin@fedefm.example.org
  fedefm consortium resume hospital-d --kit admin@fedefm.example.org
"""
WHO_EXAMPLES = """examples:
  fedefm consortium who --kit admin@fedefm.example.org
  fedefm consortium who --kit lead --project project.yml            and who of the project file is not there
  fedefm consortium who --kit lead --json
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
    kits.add_argument("names", nargs="*", metavar="NAME", help="whose kit is to be zipped though it is as it was")
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
    who = add_command(kinds, "who", "say which hospitals are connected now", WHO_EXAMPLES)
    who.add_argument("--kit", type=Path, required=True, help="kit of a person")
    who.add_argument("--project", type=Path, help="project file: says who of it is not connected, too")
    who.add_argument("--json", action="store_true", help="for machines")
    who.set_defaults(run=_who)
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
    from fedefm.federation.membership import Consortium, kits_of

    consortium = Consortium(options.project, options.workspace)
    made = _make(consortium, options.out)
    for kit in kits_of(consortium, options.names):
        if kit not in made:
            _pack(kit, options.out, "kit")
    if not made and not options.names:
        print("all kits are as they were")
    _tell_how_to_send(consortium)
    return 0


def _make(consortium: Consortium, out: Path) -> list[Path]:
    from fedefm.federation.membership import make_kits

    print("making kits, which takes up to a minute ...", flush=True)
    made = make_kits(consortium)
    for kit in made:
        _pack(kit, out, "new kit")
    return made


def _pack(kit: Path, out: Path, what: str) -> None:
    from fedefm.federation.membership import pack
    from fedefm.kits.kit import open_kit

    own = "" if open_kit(kit).key.is_file() else ", without a key: it has its own"
    print(f"{pack(kit, out)}: {what} of {kit.name}{own}")


def _tell_how_to_send(consortium: Consortium) -> None:
    from fedefm.kits.kit import open_kit
    from fedefm.trust import fingerprint

    newest = consortium.kits[-1]
    print(f"fingerprint of the root: {fingerprint(open_kit(next(newest.iterdir())).root)}")
    print("send each zip by hand or encrypted, the fingerprint by another way; delete a zip once it has arrived")
    print(f"the kits in force: {newest}; keep older ones, revoking reads them")


def _add(options: argparse.Namespace) -> int:
    from fedefm.federation.membership import Consortium, add, remove

    consortium = Consortium(options.project, options.workspace)
    add(options.project, options.name, options.org, role=options.role, request=options.request)
    try:
        _make(consortium, options.out)
    except BaseException:
        remove(options.project, options.name)  # the file is as it was, as no kit was made
        raise
    _tell_how_to_send(consortium)
    when = "may log in with it at once" if options.role else "takes part from the next job on, once it has started it"
    print(f"{options.name} {when}; the server is neither told nor started again")
    return 0


def _remove(options: argparse.Namespace) -> int:
    from fedefm.commands.trust import revoke_and_tell
    from fedefm.errors import FedefmError
    from fedefm.federation.membership import CLIENT, Consortium, forget_certificate, others_of, removable_type, remove

    consortium = Consortium(options.project, options.workspace)
    is_hospital = removable_type(options.project, options.name) == CLIENT  # before anything is revoked for good
    people = others_of(options.project, options.name) if is_hospital else []
    revoke_and_tell([options.name], options.kit, consortium.folder, Path("fedefm-revoked.json"))
    forget_certificate(consortium, [options.name]).unlink()  # so that one of this name gets another one
    remove(options.project, options.name)
    print(f"{options.project}: {options.name} is taken out")
    zipped = options.out / f"{options.name}.zip"
    if zipped.is_file():
        zipped.unlink()
        print(f"{zipped}: deleted")
    for name in people:
        print(f"{name} takes part still, of the same organisation; if it leaves: fedefm consortium remove {name}")
    if not is_hospital:
        return 0
    try:
        return _call("disable-client", options)
    except FedefmError as error:
        raise FedefmError(
            f"{options.name}: revoked and taken out, but not yet shut out of the server ({error}); on a machine that"
            f" reaches the server: fedefm consortium suspend {options.name} --kit KIT"
        ) from error


def _pause(options: argparse.Namespace) -> int:
    code = _call("disable-client" if options.word == "suspend" else "enable-client", options)
    if options.word == "suspend":
        print(f"until: fedefm consortium resume {options.name} --kit {options.kit}; a running job goes on without it")
    else:
        print("if it runs it is back within half a minute, by itself; it takes part from the next job on")
    return code


def _call(command: str, options: argparse.Namespace) -> int:
    from fedefm.federation.console import Console
    from fedefm.kits.kit import open_kit

    kit = open_kit(options.kit)
    print("asking the server, which takes up to a minute ...", flush=True)
    Console(kit.folder.resolve()).call("system", command, options.name, "--force")
    print(f"{options.name}: {'shut out of the server' if command == 'disable-client' else 'let in again'}")
    return 0


def _who(options: argparse.Namespace) -> int:
    from fedefm.federation.place import hospitals_in
    from fedefm.flare.connected import connected

    there = connected(options.kit)
    away = [name for name in hospitals_in(options.project) if name not in there] if options.project else []
    if options.json:
        print(json.dumps({"connected": there, "away": away}, indent=2))
        return 0
    for name, seconds in sorted(there.items()):
        print(f"{name}  connected, heard {seconds:.0f} s ago")
    for name in away:
        print(f"{name}  not connected: it does not run, cannot reach the server, or is suspended or revoked")
    if not there and not away:
        print("no hospital is connected")
    return 0


def _renew(options: argparse.Namespace) -> int:
    from fedefm.federation.membership import SERVER, Consortium, forget_certificate, type_of

    consortium = Consortium(options.project, options.workspace)
    copy = forget_certificate(consortium, options.names)
    print(f"{copy}: the CA's memory as it was before, with its key; delete it once the new kits work")
    _make(consortium, options.out)
    _tell_how_to_send(consortium)
    print("a site takes its zip with `fedefm site renew KIT ZIP`, a person unpacks it")
    print("until then the old certificate is good, to its end")
    if any(type_of(options.project, name) == SERVER for name in options.names):
        print("the server's key is another one then: each hospital has to be started again after the server")
    return 0
