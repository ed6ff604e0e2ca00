"""`fedefm site`: is it well, what left it, which jobs came, whom does it deny."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fedefm.commands.parser import add_command

RUNS = 9  # exit code of `clear`: nothing is to be started
LEDGER_EXAMPLES = """examples:
  fedefm site ledger ~/hospital-a                     what left, one line a message
  fedefm site ledger ~/hospital-a --verify            only whether both ledgers are whole, and their last hashes
  fedefm site ledger ~/hospital-a --verify --holds 3f97...   and whether the outbox still has the line noted earlier
  fedefm site ledger ~/hospital-a --json > outbox.json
exit code 0: the ledgers are whole; 8: a line was changed, cut or added, and is named
"""
JOBS_EXAMPLES = """examples:
  fedefm site jobs ~/hospital-a
  fedefm site jobs ~/hospital-a --json
"""
REVOKED_EXAMPLES = """examples:
  fedefm site revoked ~/hospital-a                          the certificates on the deny list of this site
  fedefm site revoked ~/hospital-a fedefm-revoked.json      take a newer list; the site need not be stopped
"""
RENEW_EXAMPLES = """examples:
  fedefm site renew ~/hospital-a hospital-a.zip
Stop the site before, and start it afterwards. The site's own file, ledgers, deny list and what else must outlive a kit
go with it; the old kit is put aside, for you to delete.
"""
CLEAR_EXAMPLES = """examples:
  fedefm site clear ~/hospital-a
exit code 0: it may be started; 2: another program has a port of the server; 9: it runs already
"""
WAIT_EXAMPLES = """examples:
  fedefm site wait ~/hospital-a --seconds 120
exit code 0: it serves, or a hospital runs and tries to reach the server; 1: it ended, or a server does not listen
"""
STATUS_EXAMPLES = """examples:
  fedefm site status ~/hospital-a
  fedefm site status ~/hospital-a --json
  fedefm site status ~/hospital-a || mail -s "fedefm" it@hospital.example < /dev/null     from cron
exit code, as monitors read it: 0 well; 1 the certificate ends within 30 days; 2 does not run, is not connected, ...
"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    site = commands.add_parser("site", help="a site from day to day: is it well, what left it, which jobs came")
    kinds = site.add_subparsers(required=True, metavar="COMMAND")
    _add_status(kinds)
    _add_start(kinds)
    _add_ledger(kinds)
    _add_jobs(kinds)
    _add_revoked(kinds)
    _add_renew(kinds)


def _add_status(commands: Any) -> None:
    parser = add_command(commands, "status", "does it run, is it connected, what did it do last", STATUS_EXAMPLES)
    add_kit(parser)
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_status)


def _add_start(commands: Any) -> None:
    parser = add_command(commands, "clear", "make way for a start; startup/start.sh calls it", CLEAR_EXAMPLES)
    add_kit(parser)
    parser.set_defaults(run=_clear)
    parser = add_command(
        commands, "wait", "wait until what was started serves; startup/start.sh calls it", WAIT_EXAMPLES
    )
    add_kit(parser)
    parser.add_argument("--seconds", type=float, default=60.0, help="at most (default: %(default)g)")
    parser.set_defaults(run=_wait)


def _add_ledger(commands: Any) -> None:
    parser = add_command(commands, "ledger", "print and verify the ledger of what left the hospital", LEDGER_EXAMPLES)
    add_kit(parser)
    parser.add_argument("--verify", action="store_true", help="print no lines, only whether they are whole")
    parser.add_argument("--holds", metavar="SHA256", help="hash of a last line of the outbox that was noted earlier")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_ledger)


def _add_jobs(commands: Any) -> None:
    parser = add_command(commands, "jobs", "list jobs that wait for a yes, and what became of others", JOBS_EXAMPLES)
    add_kit(parser)
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_jobs)


def _add_revoked(commands: Any) -> None:
    parser = add_command(commands, "revoked", "show the deny list of a site, or take a newer one", REVOKED_EXAMPLES)
    add_kit(parser)
    parser.add_argument("list", type=Path, nargs="?", help="the file that the consortium sent")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=_revoked)


def _add_renew(commands: Any) -> None:
    parser = add_command(commands, "renew", "put a new kit in the place of this one", RENEW_EXAMPLES)
    add_kit(parser)
    parser.add_argument("zip", type=Path, help="the new kit, as the consortium sent it")
    parser.set_defaults(run=_renew)


def add_kit(parser: argparse.ArgumentParser) -> None:
    """The argument that every command of a site has."""
    parser.add_argument("kit", type=Path, help="the site's folder, which holds startup/ and local/")


def _status(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from fedefm.doctor.status import line, status_of
    from fedefm.kits.kit import open_kit

    found = status_of(open_kit(options.kit))
    print(json.dumps(asdict(found), indent=2) if options.json else line(found))
    return found.code


def _clear(options: argparse.Namespace) -> int:
    from fedefm.doctor.status import clear
    from fedefm.kits.kit import open_kit

    said = clear(open_kit(options.kit))
    if said:
        print(said)
        return RUNS
    return 0


def _wait(options: argparse.Namespace) -> int:
    from fedefm.doctor.status import line, wait
    from fedefm.kits.kit import open_kit

    found = wait(open_kit(options.kit), options.seconds, lambda text: print(text, flush=True))
    print(line(found))
    if not found.connected:
        print("  it runs, and tries again until the server takes it in")
    return 0


def _ledger(options: argparse.Namespace) -> int:
    from fedefm.kits.kit import open_kit
    from fedefm.trust.job_ledger import JobLedger
    from fedefm.trust.ledger import JOBS, OUTBOX, Ledger

    kit = open_kit(options.kit).folder
    outbox = Ledger(kit, OUTBOX)
    lines = outbox.read()
    JobLedger(kit).read()
    if options.holds:
        outbox.must_hold(options.holds)
    ends = {name: Ledger(kit, name).end() for name in (OUTBOX, JOBS)}
    plain = {name: {"lines": end.lines, "last": end.sha256} for name, end in ends.items()}
    if options.json:
        print(json.dumps({"whole": True, "ledgers": plain, "sent": [] if options.verify else lines}, indent=2))
        return 0
    if not options.verify:
        for line in lines:
            print(_sent(line))
    for name, end in ends.items():
        print(f"{name}: whole, {end.lines} lines" + (f", the last has SHA-256 {end.sha256}" if end.lines else ""))
    return 0


def _sent(line: dict[str, Any]) -> str:
    what = "weights and figures" if line.get("weights") else line.get("what", "?")
    return (
        f"{line['time']}  {line.get('bytes', 0):>12,} B  {what:<20} {line.get('task')}  to {line.get('recipient')}  "
        f"job {line.get('job')} of {line.get('signer')}: {len(line.get('figures', []))} figures"
    )


def _jobs(options: argparse.Namespace) -> int:
    from fedefm.kits.approval import waiting
    from fedefm.kits.kit import open_kit
    from fedefm.trust.job_ledger import JobLedger

    kit = open_kit(options.kit).folder
    lines = JobLedger(kit).read()
    waits = [path.name for path in waiting(kit)]
    if options.json:
        print(json.dumps({"waiting": waits, "events": lines}, indent=2))
        return 0
    known = {line["serial"]: line for line in lines if "serial" in line}
    for serial in waits:
        line = known.get(serial, {})
        who = f"{line.get('name', '?')}, signed by {line.get('signer', '?')}"
        print(f"waits  {serial[:8]}  {who}, came {line.get('time', '?')}")
    if waits:
        print(f"look at one, and decide: fedefm approve {waits[0][:8]} --kit {options.kit}")
    for line in lines:
        print(_event(line))
    if not lines and not waits:
        print("no job has come yet")
    return 0


def _event(line: dict[str, Any]) -> str:
    more = line.get("reason") or line.get("allowed") or (f"by {line['by']}" if "by" in line else "")
    sent = f"{line['sent']} messages left" if "sent" in line else ""
    what = f"{line.get('name', '')} {line.get('serial', '')[:8]}".strip()
    when = line.get("time", "(no time)")
    return f"{when:<20}  {line['event']:<8}  {what}  {line.get('job_id', '')}  {more}{sent}".rstrip()


def _revoked(options: argparse.Namespace) -> int:
    from fedefm.kits.kit import open_kit
    from fedefm.trust.revoked import read_list, take

    kit = open_kit(options.kit)
    if options.list is None:
        found = read_list(kit.folder, kit.root)
    else:
        found = take(kit.folder, options.list.read_bytes(), kit.root)
    if options.json:
        print(json.dumps({"number": found.number, "made": found.made, "revoked": found.entries}, indent=2))
        return 0
    for one in found.entries:
        print(f"{one['since']}  {one['serial']}  {one['name']}")
    print(f"deny list number {found.number} of {found.made}" if found.number else "this site has no deny list yet")
    if options.list is not None:
        print("in force from now on; what runs here need not be started again")
    return 0


def _renew(options: argparse.Namespace) -> int:
    from fedefm.doctor.status import keeper_of, running_from
    from fedefm.errors import ConfigError
    from fedefm.kits.kit import open_kit
    from fedefm.kits.renewal import renew
    from fedefm.trust.certificates import load_certificate

    kit = open_kit(options.kit)
    if running := running_from(kit.folder) or keeper_of(kit.folder):
        raise ConfigError(f"{kit.name} runs, as process {running.pid}; stop it first, with startup/stop_fl.sh")
    old = renew(kit, options.zip)
    ends = load_certificate(open_kit(options.kit).certificate).not_valid_after_utc
    print(f"{options.kit}: the new kit, its certificate good until {ends:%Y-%m-%d}")
    print(f"{old}: the old one, with its key and the folders of its jobs; delete it once the new one is connected")
    print(f"next: fedefm doctor {options.kit}; {options.kit}/startup/start.sh")
    return 0
