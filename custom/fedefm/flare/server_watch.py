"""Tells the server's running jobs which hospitals were started again or removed: FLARE 2.9.0 does not.

FLARE starts no process for a running job at a hospital that was started again, and marks it dead nowhere: the job waits
for it as for one that is slow. When the job is over its missing end counts as a failure of the job: FINISHED:ABNORMAL,
though Theta is published. A removed hospital's end is waited for in vain. So the server's main process looks itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nvflare.apis.client import Client
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import RunProcessKey
from nvflare.apis.fl_context import FLContext

MOMENTS = (EventType.CLIENT_REGISTER_PROCESSED, EventType.CLIENT_HEARTBEAT_PROCESSED)


class ServerWatch(FLComponent):
    """A component of the server's `local/resources.json`; looks whenever a hospital registers or says that it lives."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[tuple[str, str]] = set()

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Look at every job that runs; a hospital that is out of a job is no more waited for there."""
        if event_type not in MOMENTS:
            return
        engine = fl_ctx.get_engine()
        for job_id, process in list(engine.run_processes.items()):
            participants = list((process.get(RunProcessKey.PARTICIPANTS) or {}).values())
            for client in started_again(participants, engine.get_client_from_name):
                if (job_id, client.token) not in self._told:
                    self._told.add((job_id, client.token))
                    self.log_info(fl_ctx, f"{client.name}: started again, and out of job {job_id}", fire_event=False)
                    engine.notify_dead_job(job_id, client.name, "started again")
                engine.job_runner.resolve_client_outcome(job_id, client.name)
            for client in (c for c in participants if engine.server.client_manager.is_client_disabled(c.name)):
                engine.job_runner.resolve_client_outcome(job_id, client.name)


def started_again(participants: Iterable[Client], now: Callable[[str], Client | None]) -> list[Client]:
    """Participants of a job that have registered anew since it began: the server itself gave them another token."""
    found = ((client, now(client.name)) for client in participants)
    return [client for client, current in found if current is not None and current.token != client.token]
