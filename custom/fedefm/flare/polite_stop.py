"""A hospital that is stopped says good-bye: FLARE's own scripts kill it without a word.

`stop_fl.sh` leaves a file, and FLARE's daemon kills the process ten seconds later: the server hears nothing, and the
others wait for a hospital that is gone. So the process looks for that file itself, tells the server as FLARE does after
`nvflare system shutdown client`, and ends; its job's process sees that and ends too. The same when the system asks it
to end (SIGTERM), as systemd and containers do.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey, WorkspaceConstants
from nvflare.apis.fl_context import FLContext

LOOK_SECONDS = 0.5
GOODBYE_SECONDS = 5.0  # a server that does not answer is not waited for any longer: FLARE's daemon kills after ten


class PoliteStop(FLComponent):
    """A component of a hospital's `local/resources.json`; it works in the main process alone."""

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Begin to look when the hospital has registered."""
        if event_type != EventType.SYSTEM_START:
            return
        asked = threading.Event()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _once(asked))
        workspace = fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT)  # the engine of this process has none
        file = Path(workspace.get_root_dir()) / WorkspaceConstants.SHUTDOWN_FILE
        goodbye = fl_ctx.get_engine().client.close
        threading.Thread(target=leave, args=(file, asked, goodbye), name="polite_stop", daemon=True).start()


def leave(
    file: Path, asked: threading.Event, goodbye: Callable[[], Any], end: Callable[[], None] | None = None
) -> None:
    """Wait until the hospital is to stop, say so, and end.

    Args:
        file: to stop, once it is there.
        asked: to stop, once it is set.
        goodbye: tells the server.
        end: ends the process; by default by SIGTERM, as if nobody had waited.
    """
    while not asked.wait(LOOK_SECONDS) and not file.exists():
        continue
    telling = threading.Thread(target=goodbye, name="goodbye", daemon=True)
    telling.start()
    telling.join(GOODBYE_SECONDS)
    (end or _end)()


def _end() -> None:
    """End this process: the first signal takes our handler away if it is still there, and the next one ends it.

    The first process of a container has no such default: it ends itself.
    """
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(LOOK_SECONDS)
    os._exit(128 + signal.SIGTERM)


def _once(asked: threading.Event) -> Callable[[int, Any], None]:
    """A handler of the first signal; the second one ends the process as ever."""

    def handle(number: int, frame: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        asked.set()

    return handle
