"""A server that was killed closes, when it starts again, the jobs that ran then.

FLARE 2.9 leaves them RUNNING for ever: `nvflare job abort` answers that they are not running, `nvflare job delete` that
they are. Its job runner can mark them as abandoned, and nobody calls it; here it is called. No job of this server runs
at that moment: FLARE restores none.
"""

from __future__ import annotations

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_context import FLContext


class StaleJobs(FLComponent):
    """A component of the server's `local/resources.json`; such jobs become `FINISHED:ABANDONED`, and can be deleted."""

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Before the server takes a job."""
        if event_type == EventType.SYSTEM_BOOTSTRAP:
            fl_ctx.get_engine().job_runner.update_unfinished_jobs(fl_ctx)
