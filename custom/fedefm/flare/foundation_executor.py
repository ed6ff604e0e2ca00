"""A hospital's side of a job: hands each task to `fedefm.foundation.hospital` and sends back what it gives."""

from __future__ import annotations

from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal

from fedefm.errors import ConfigError, FedefmError
from fedefm.exchange.messages import Result
from fedefm.flare.envelope import Weights, decode_assignment, encode_error, encode_result, register_decomposers
from fedefm.flare.job_files import SETTINGS_FILE, read_settings, site_folder
from fedefm.flare.metrics import send_scalars
from fedefm.flare.site_config import SiteConfig, load_site_config
from fedefm.foundation.hospital import Hospital


class HospitalExecutor(Executor):
    """Works on one task at a time with the site's own data.

    Nothing that matters lives in the object: a process that takes the place of a killed one reads the site's
    configuration when the run starts and its images when a task first needs them.

    Args:
        settings_file: name of the settings beside the app's FLARE configuration.
    """

    def __init__(self, settings_file: str = SETTINGS_FILE):
        super().__init__()
        self._settings_file = settings_file
        self._opened: tuple[Hospital, SiteConfig] | FedefmError = ConfigError("the run has not started")

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Read the site's configuration when the run starts; an error is kept for the server's first question."""
        if event_type != EventType.START_RUN:
            return
        register_decomposers()
        try:
            self._opened = self._open(fl_ctx)
        except FedefmError as error:
            self.log_error(fl_ctx, str(error), fire_event=False)
            self._opened = error

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        """Do one task; an error is told to the server by its class alone, in full to the site's own log."""
        try:
            return encode_result(self._work(task_name, shareable, fl_ctx, abort_signal))
        except FedefmError as error:
            self.log_error(fl_ctx, f"{task_name}: {type(error).__name__}: {error}", fire_event=False)
            return encode_error(error)
        except Exception as error:
            self.log_exception(fl_ctx, f"{task_name}: {type(error).__name__}: {error}", fire_event=False)
            return encode_error(error)

    def _work(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Result[Weights]:
        if isinstance(self._opened, FedefmError):
            raise self._opened
        hospital, config = self._opened
        assignment = decode_assignment(shareable, hospital.name, task_name)
        config.check(assignment)
        result = hospital.perform(assignment, lambda: bool(abort_signal.triggered))
        send_scalars(self, assignment.task, result.report, fl_ctx)
        return result

    def _open(self, fl_ctx: FLContext) -> tuple[Hospital, SiteConfig]:
        name = fl_ctx.get_identity_name()
        config = load_site_config(site_folder(fl_ctx), name)
        settings = read_settings(fl_ctx, self._settings_file)
        return Hospital(name, config.data, settings, device=config.device, threads=config.threads), config
