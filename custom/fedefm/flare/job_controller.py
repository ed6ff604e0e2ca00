"""The server's workflow of any job: what the three controllers share, from its first line to the end of the job."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path
from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.widgets.info_collector import InfoCollector

from fedefm.errors import FedefmError, visible
from fedefm.exchange.events import Event
from fedefm.exchange.status import FINISHED, STATUS_FILE
from fedefm.flare.envelope import register_decomposers
from fedefm.flare.expiry import expiry_of
from fedefm.flare.job_end_point import guard_job
from fedefm.flare.job_files import held_weights_folder, output_folder, run_folder, settings_path
from fedefm.flare.job_status import StatusKeeper
from fedefm.flare.presence import presence_of
from fedefm.flare.progress import failed_line, finished_line, to_line, to_text
from fedefm.flare.removed import kit_of, removed_sites
from fedefm.flare.simulated_sites import SimulatedSites
from fedefm.flare.steps import FED_EVENT, steps_told
from fedefm.flare.transport import FlareTransport
from fedefm.models.stored import Shelf
from fedefm.training.wire import FLOAT32, TensorWire


class JobController(Controller, ABC):
    """Reads the job's settings, has its work done over all connected hospitals, then publishes what came out.

    A job's own controller says how each of the three steps is done. No file is opened before the run starts.

    Args:
        settings_file: name of the settings beside the app's FLARE configuration.
        task_check_period: seconds between FLARE's own looks at its tasks.

    Attributes:
        shelf: holds the weights of the run on the disk; None before it starts.
    """

    def __init__(self, settings_file: str, task_check_period: float):
        super().__init__(task_check_period)
        self._settings_file = settings_file
        self._keeper: StatusKeeper | None = None
        self.shelf: Shelf | None = None

    @abstractmethod
    def load(self, path: Path) -> Any:
        """The job's settings, with a `stage_timeout` in seconds, and a `wire` where its weights may be rounded."""

    @abstractmethod
    def work(self, settings: Any, sites: list[str], transport: FlareTransport, fl_ctx: FLContext) -> Any:
        """Run the job over its hospitals; whatever `publish` needs."""

    @abstractmethod
    def publish(self, settings: Any, done: Any, fl_ctx: FLContext) -> None:
        """Write weights and the record into the output folder."""

    def start_controller(self, fl_ctx: FLContext) -> None:
        """Get ready to carry tensors, and to outlive what a hospital sends.

        Raises:
            KeyError, AttributeError: FLARE is not as it was when this was written; the job does not begin.
        """
        register_decomposers()
        guard_job(fl_ctx)

    def stop_controller(self, fl_ctx: FLContext) -> None:
        """Nothing stays open."""

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """Run the job; what stops it is told in one line and ends the job as failed, and nothing is published."""
        try:
            settings = self.load(settings_path(fl_ctx, self._settings_file))
            sites, presence = connected_sites(fl_ctx), presence_of(fl_ctx)
            self.shelf = Shelf(held_weights_folder(fl_ctx))
            transport = FlareTransport(
                self,
                fl_ctx,
                abort_signal,
                float(settings.stage_timeout),
                removed=partial(removed_sites, kit_of(fl_ctx)),
                dead=SimulatedSites(sites),
                left=lambda: presence.left,
                wire=TensorWire(getattr(settings, "wire", FLOAT32), self.shelf),
            )
            path = run_folder(fl_ctx) / STATUS_FILE
            expiry = expiry_of(kit_of(fl_ctx))
            with StatusKeeper(fl_ctx.get_job_id(), sites, transport.heard, presence, path, expiry=expiry) as keeper:
                self._keeper = keeper
                done = self.work(settings, sites, transport, fl_ctx)
                if abort_signal.triggered:
                    return
                self.publish(settings, done, fl_ctx)
                keeper.ended(FINISHED)
            self.log_info(fl_ctx, finished_line(str(output_folder(fl_ctx))), fire_event=False)
        except Exception as error:
            self._fail(error, abort_signal, fl_ctx)
        finally:
            if self.shelf is not None:
                self.shelf.clear()

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Answer who asks for the job's status, and take the steps that hospitals tell."""
        super().handle_event(event_type, fl_ctx)
        keeper = self._keeper
        if keeper is None:
            return
        if event_type == InfoCollector.EVENT_TYPE_GET_STATS:
            keeper.answer(fl_ctx)
        elif event_type == FED_EVENT and (told := steps_told(fl_ctx)) is not None:
            keeper.steps(told)

    def process_result_of_unknown_task(
        self, client: Client, task_name: str, client_task_id: str, result: Shareable, fl_ctx: FLContext
    ) -> None:
        """Refuse what arrives after its task was given up."""
        self.log_warning(fl_ctx, f"{client.name}: a late {task_name} result is refused", fire_event=False)

    def tell(self, event: Event, fl_ctx: FLContext) -> None:
        """Write an event to the log, for readers and for whoever follows the process, and into the job's status."""
        self.log_info(fl_ctx, to_text(event), fire_event=False)
        self.log_info(fl_ctx, to_line(event), fire_event=False)
        if self._keeper is not None:
            self._keeper.tell(event)

    def _fail(self, error: Exception, abort_signal: Signal, fl_ctx: FLContext) -> None:
        kind = type(error).__name__ if isinstance(error, FedefmError) else "FedefmError"
        internal = f"internal error ({type(error).__name__}: {error})"
        message = visible(str(error) if isinstance(error, FedefmError) else internal)
        if not isinstance(error, FedefmError):
            self.log_exception(fl_ctx, message, fire_event=False)
        self.log_error(fl_ctx, failed_line(kind, message), fire_event=False)
        if not abort_signal.triggered:
            self.system_panic(message, fl_ctx)


def connected_sites(fl_ctx: FLContext) -> list[str]:
    """The job's hospitals by the names that the server itself gave their connections, sorted."""
    return sorted(client.name for client in fl_ctx.get_engine().get_clients())
