"""Jobs that ran when the server was killed."""

from types import SimpleNamespace

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_context import FLContext
from nvflare.private.fed.server.job_runner import JobRunner

from fedefm.flare.stale_jobs import StaleJobs
from support.flare_site import job_context


def test_they_are_closed_when_the_server_starts_and_at_no_other_time(tmp_path, monkeypatch):
    """FLARE's own job runner marks them; the job manager is asked for those that run."""
    fl_ctx, marked = job_context(tmp_path, "x.json", {}), []
    assert isinstance(fl_ctx, FLContext)
    jobs = SimpleNamespace(
        get_jobs_by_status=lambda statuses, fl_ctx: [SimpleNamespace(job_id="old")],
        set_status=lambda job, status, fl_ctx: marked.append((job, status.value)),
    )
    engine = fl_ctx.get_engine()
    engine.job_runner, engine.get_component = JobRunner("."), lambda name: jobs
    for event in (EventType.START_RUN, EventType.SYSTEM_START):
        StaleJobs().handle_event(event, fl_ctx)
    assert marked == []
    StaleJobs().handle_event(EventType.SYSTEM_BOOTSTRAP, fl_ctx)
    assert marked == [("old", "FINISHED:ABANDONED")]
