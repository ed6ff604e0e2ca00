"""A hospital that is stopped says good-bye: FLARE's own scripts kill it without a word.

`stop_fl.sh` leaves a file, and FLARE's daemon kills the process ten seconds later: the server hears nothing, and the
others wait for a hospital that is gone. So the process looks for that file itself and leaves in FLARE's own way, as
after `nvflare system shutdown client`: it tells the server, ends its job and ends. The same when the system asks it to
end (SIGTERM), which systemd and containers do.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import WorkspaceConstants
from nvflare.apis.fl_context import FLContext

LOOK_SECONDS = 0.5


class PoliteStop(FLComponent):
    """A component of a hospital's `local/resources.json`; it works in the main process alone."""

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Begin to look when the hospital has registered."""
        if event_type != EventType.SYSTEM_START:
            return
        asked = threading.Event()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _once(asked))
        engine, root = fl_ctx.get_engine(), Path(fl_ctx.get_workspace().get_root_dir())
        wait = wait_for(root / WorkspaceConstants.SHUTDOWN_FILE, asked)
        threading.Thread(target=leave, args=(wait, engine.shutdown), name="polite_stop", daemon=True).start()


def leave(wait: Callable[[], None], shutdown: Callable[[], Any]) -> None:
    """Wait until the hospital is to stop, then leave."""
    wait()
    shutdown()


def wait_for(file: Path, asked: threading.Event) -> Callable[[], None]:
    """Waits until a file appears or it is asked."""

    def wait() -> None:
        while not asked.wait(LOOK_SECONDS) and not file.exists():
            continue

    return wait


def _once(asked: threading.Event) -> Callable[[int, Any], None]:
    """A handler of the first signal; the second one ends the process as ever."""

    def handle(number: int, frame: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        asked.set()

    return handle
