"""Keeps a running job's status: written into its run folder, and answered to whoever asks the server.

The answer goes through FLARE's `show_stats`, which the consortium's policy gives to everybody with the right `view`:
it comes behind the consortium's own certificates and opens no port.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from nvflare.apis.fl_context import FLContext
from nvflare.widgets.info_collector import GroupInfoCollector, InfoCollector

from fedefm.errors import ConfigError, FedefmError
from fedefm.exchange.events import Event
from fedefm.exchange.status import BROKEN_OFF, Board, Heard, JobStatus
from fedefm.files import write_json
from fedefm.flare.expiry import Expiry
from fedefm.flare.gauges import publish
from fedefm.flare.presence import Presence
from fedefm.flare.steps import StepsTold, steps_tag

GROUP = "fedefm"
INTERNAL = "an internal error; the server's log says which"
WRITE_SECONDS = 1.0


class StatusKeeper:
    """While its `with` block lasts, a job's status is written once a second.

    Args:
        job: the job's id.
        sites: its hospitals.
        heard: what the transport knows of a hospital.
        presence: who is there.
        path: where the status is written.
        clock: seconds since 1970.
        expiry: when certificates end.
    """

    def __init__(
        self,
        job: str,
        sites: list[str],
        heard: Callable[[str], Heard],
        presence: Presence,
        path: Path,
        clock: Callable[[], float] = time.time,
        expiry: Expiry | None = None,
    ):
        self._board, self._sites, self._heard = Board(job, sites, clock), tuple(sites), heard
        self._presence, self._path, self._expiry = presence, path, expiry or Expiry()
        self._over, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._keep, name="job_status", daemon=True)

    def __enter__(self) -> StatusKeeper:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        if not self._board.end:
            self.ended(BROKEN_OFF if error is None else str(error) if isinstance(error, FedefmError) else INTERNAL)
        self._write(self.status())

    def tell(self, event: Event) -> None:
        """Take an event of the job."""
        with self._lock:
            self._board(event)

    def ended(self, how: str) -> None:
        """Take how the job ended, in one line."""
        with self._lock:
            self._board.end = how

    def steps(self, told: StepsTold) -> None:
        """Take what a hospital says of its steps; only of the work that it is at."""
        work = self._heard(told.site).at_work if told.site in self._sites else None
        if work is None or told.round != work.tasks[0].round or told.tag != steps_tag(work.tasks[0]):
            return
        with self._lock:
            self._board.steps(told.site, work.tasks[0].id, told.step, work.tasks[0].steps)

    def status(self) -> JobStatus:
        """The job now."""
        heard = {site: self._with_presence(site) for site in self._sites}
        with self._lock:
            return replace(self._board.status(heard), certificate_ends=self._expiry.server)

    def answer(self, fl_ctx: FLContext) -> None:
        """Put the status into the answer to `show_stats`."""
        collector = fl_ctx.get_prop(InfoCollector.CTX_KEY_STATS_COLLECTOR)
        if isinstance(collector, GroupInfoCollector):
            collector.set_info(GROUP, self.status().to_dict())

    def _with_presence(self, site: str) -> Heard:
        left = self._presence.left.get(site)
        heartbeat, ends = self._presence.heartbeats.get(site), self._expiry.sites.get(site)
        heard = replace(self._heard(site), heartbeat=heartbeat, certificate_ends=ends)
        return heard if left is None else replace(heard, left=left.value, stopped=left is left.STOPPED)

    def _keep(self) -> None:
        while not self._over.wait(WRITE_SECONDS):
            self._presence.refresh()
            status = self.status()
            self._write(status)
            publish(status)

    def _write(self, status: JobStatus) -> None:
        try:
            write_json(self._path, status.to_dict())
        except ConfigError:  # a full disk: the job says so where it writes what matters
            return


def status_in(stats: Any) -> Mapping[str, Any] | None:
    """What `show_stats` brought of a job's status; None where there is none."""
    server = stats.get("server") if isinstance(stats, Mapping) else None
    found = server.get(GROUP) if isinstance(server, Mapping) else None
    return found if isinstance(found, Mapping) else None
