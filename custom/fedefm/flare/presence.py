"""Who of a job's hospitals is there: FLARE's heartbeats and farewells reach the server's main process, not its jobs.

A hospital whose people stop it says so (`flare/polite_stop.py`). FLARE's server takes it from its table and tells the
running job that the hospital is dead, which the job believes after `dead_client_grace_period`, and without a reason.
So the main process writes beside each participant why it left the table, and the job's process asks for its
participants every other second: with them come the time of their last heartbeat and that reason. Both are the server's
own: nothing of it is what a hospital says of itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import RunProcessKey
from nvflare.apis.fl_context import FLContext

from fedefm.exchange.messages import Loss

LEFT = "fedefm_left"
ASK_SECONDS = 2.0


class Left(Enum):
    """Why a hospital is out of a job that runs, as a record and a page say it."""

    STOPPED = "its own people stopped it; the next job takes it in again"
    RESTARTED = "it was started again; the next job takes it in again"
    SILENT = "no heartbeat came any more; the next job takes it in again"

    @property
    def loss(self) -> Loss:
        """What its open work is lost by."""
        return Loss.STOPPED if self is Left.STOPPED else Loss.DIED


WHY = {
    EventType.CLIENT_QUIT: Left.STOPPED,
    EventType.CLIENT_REGISTER_PROCESSED: Left.RESTARTED,
    EventType.CLIENT_HEARTBEAT_PROCESSED: Left.SILENT,
}
"""At which moment of the server's main process a participant is missed first, and why it is then."""


class Farewells(FLComponent):
    """A component of the server's `local/resources.json`: notes beside a running job's participants why they left."""

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Look who is missing, at the moments that say why."""
        if event_type not in WHY:
            return
        engine = fl_ctx.get_engine()
        manager = engine.server.client_manager
        for process in list(engine.run_processes.values()):
            participants = list((process.get(RunProcessKey.PARTICIPANTS) or {}).values())
            for client in missing(participants, manager.get_clients(), manager.is_client_disabled):
                client.set_prop(LEFT, WHY[event_type].name)
                self.log_info(fl_ctx, f"{client.name}: {WHY[event_type].value}", fire_event=False)


def missing(
    participants: Iterable[Client], table: Mapping[str, Client], disabled: Callable[[str], bool]
) -> list[Client]:
    """Participants that the server knows no more, and of whom nothing is noted; who was removed is told elsewhere."""
    gone = [client for client in participants if client.token not in table]
    return [client for client in gone if client.get_prop(LEFT) is None and not disabled(client.name)]


class Presence:
    """What the process of a job knows of its hospitals' presence.

    Attributes:
        heartbeats: when each hospital's last heartbeat came, in seconds since 1970.
        left: who has left the job, and why; for good.

    Args:
        ask: gives the job's participants by token, as the main process has them; None where it does not answer.
        clock: seconds, rising.
    """

    def __init__(self, ask: Callable[[], Any], clock: Callable[[], float] = time.monotonic):
        self._ask, self._clock, self._next = ask, clock, 0.0
        self.heartbeats: Mapping[str, float] = {}
        self.left: Mapping[str, Left] = {}

    def refresh(self) -> None:
        """Ask again, seldom; who does not answer changes nothing."""
        if self._clock() < self._next:
            return
        self._next = self._clock() + ASK_SECONDS
        participants = self._ask()
        if not isinstance(participants, Mapping):
            return
        clients = [client for client in participants.values() if isinstance(client, Client)]
        self.heartbeats = {client.name: float(client.last_connect_time) for client in clients}
        noted = {client.name: client.get_prop(LEFT) for client in clients}
        self.left = {**self.left, **{name: Left[why] for name, why in noted.items() if why in Left.__members__}}


def presence_of(fl_ctx: FLContext) -> Presence:
    """Presence as FLARE's server tells it; in the simulator there is no main process, and nobody's is known."""
    from fedefm.flare.server_config import consortium_root  # torch, which the server's main process does without

    engine, job = fl_ctx.get_engine(), fl_ctx.get_job_id()
    if consortium_root(fl_ctx) is None:
        return Presence(lambda: None)
    return Presence(lambda: engine._retrieve_clients_data(job))
