"""`fedefm watch`: what each hospital of a running job is doing, on the terminal or as a page."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedefm.commands.parser import add_command

if TYPE_CHECKING:
    from fedefm.flare.watching import Look, Seen

EXAMPLES = """examples:
  fedefm watch JOB_ID --startup-kit lead
  fedefm watch JOB_ID --startup-kit member@hospital-a.example.org --page
  fedefm watch JOB_ID --startup-kit lead --once --json

The kit is that of a person: every role of the consortium may look, and nothing can be changed here. It asks the server
at the port for people; no hospital opens a port for it. It ends with the job: exit code 0 where the job ended well, 1
where it did not. With --once it ends at once, with 0.
"""
LOOK_SECONDS, RETRY_SECONDS = 2.0, 120.0


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "watch", "show what each hospital of a running job is doing", EXAMPLES)
    parser.add_argument("job", help="id of the job, as `fedefm job submit` or `nvflare job submit` gave it")
    parser.add_argument("--startup-kit", type=Path, required=True, metavar="FOLDER", help="kit of a person")
    parser.add_argument("--once", action="store_true", help="look once, and end")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print one JSON object a look, each on a line")
    how.add_argument("--page", action="store_true", help="serve a page for a browser of this machine, until Ctrl-C")
    parser.add_argument("--port", type=int, default=0, help="port of the page on 127.0.0.1 (default: any free one)")
    parser.set_defaults(run=_watch)


def _watch(options: argparse.Namespace) -> int:
    from fedefm.errors import ConfigError
    from fedefm.flare.watching import watching

    if options.page and options.once:
        raise ConfigError("--page goes on until Ctrl-C; leave out --once")
    if not options.page:
        return watch_on_terminal(options.startup_kit, options.job, once=options.once, as_json=options.json)
    with watching(options.startup_kit, options.job) as look:
        return _page(look, options.job, options.port)


def watch_on_terminal(kit: Path, job: str, *, once: bool = False, as_json: bool = False) -> int:
    """Show a job until it is over; the exit code.

    Args:
        kit: of a person.
        job: its id.
        once: look once, and end.
        as_json: one JSON object a look in place of a table.
    """
    from fedefm.flare.watching import watching

    with watching(kit, job) as look, _printing(as_json) as show:
        return follow(look, show, once=once)


def follow(look: Look, show: Callable[[Seen], None], *, once: bool = False, pause: float = LOOK_SECONDS) -> int:
    """Show a job until it is over; the exit code.

    A server that does not answer for a moment is asked again; for how long, `RETRY_SECONDS` says.

    Raises:
        FedefmError: the server does not answer any more.
    """
    from fedefm.errors import ConfigError, FedefmError, TrustError
    from fedefm.federation.console import COMPLETED

    heard = time.monotonic()
    while True:
        try:
            seen = look()
        except (ConfigError, TrustError):
            raise
        except FedefmError:
            if once or time.monotonic() - heard > RETRY_SECONDS:
                raise
        else:
            heard = time.monotonic()
            show(seen)
            if once:
                return 0
            if seen.is_over:
                return 0 if seen.flare == COMPLETED else 1
        time.sleep(pause)


def plain(seen: Seen) -> dict[str, Any]:
    """A look as JSON-able values."""
    return {
        "job": seen.job,
        "flare": seen.flare,
        "status": None if seen.status is None else seen.status.to_dict(),
    }


@contextmanager
def _printing(as_json: bool) -> Iterator[Callable[[Seen], None]]:
    """A function that shows a look: JSON, a table that renews itself, or, where no terminal is, one for each change."""
    from rich.console import Console
    from rich.live import Live

    from fedefm.report.live import table

    console = Console()
    if as_json:
        yield lambda seen: print(json.dumps(plain(seen), sort_keys=True), flush=True)
    elif console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            yield lambda seen: live.update(table(seen.job, seen.flare, seen.status), refresh=True)
    else:
        yield on_change(lambda seen: console.print(table(seen.job, seen.flare, seen.status)))


def on_change(show: Callable[[Seen], None]) -> Callable[[Seen], None]:
    """Show a look only where round, stage or a hospital's condition has changed."""
    last: list[Any] = [None]

    def perhaps(seen: Seen) -> None:
        one = seen.status
        news = None if one is None else (one.round, one.stage, [(h.site, h.condition) for h in one.hospitals])
        if last[0] != (seen.flare, news):
            last[0] = (seen.flare, news)
            show(seen)

    return perhaps


def page_policy() -> str:
    """The page's Content-Security-Policy: its own script and style, its own address, and nothing else."""
    from fedefm.report.live import script_hash

    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src '{script_hash()}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _page(look: Look, job: str, port: int) -> int:
    """Serve the page until the person ends it; it outlives the job, and the server's silence."""
    from fedefm.commands.live_page import Shown, serving
    from fedefm.errors import FedefmError
    from fedefm.report.live import render_live

    def shown(seen: Seen, trouble: str = "") -> Shown:
        return Shown(
            render_live(seen.job, seen.flare, seen.status, trouble), plain(seen) | {"trouble": trouble or None}
        )

    seen = look()
    with serving(port, shown(seen), page_policy()) as server:
        print(f"job {job}: {server.url} shows it (Ctrl-C ends this)", flush=True)
        while True:
            time.sleep(LOOK_SECONDS)
            try:
                if not seen.is_over:
                    seen = look()
                server.shown = shown(seen)
            except FedefmError as error:
                server.shown = shown(seen, str(error))
