"""How a hospital's process of a job ended is that hospital's matter: FLARE 2.9.0 lets it end the job for all.

When such a process is over its hospital reports a code, and most of FLARE's codes of failure make the server end the
whole job. A hospital that never ran one can report them too. So the server takes every failure for one of a code that
it knows nothing of: the hospital is out of the job, is missed there as any other that is gone, and the others go on.
"""

from __future__ import annotations

from typing import Any

from nvflare.apis.job_launcher_spec import JobReturnCode
from nvflare.fuel.f3.cellnet.defs import CellChannel, CellChannelTopic
from nvflare.fuel.f3.message import Message
from nvflare.private.defs import JobFailureMsgKey

REPORT = (CellChannel.SERVER_MAIN, CellChannelTopic.REPORT_JOB_FAILURE)


def keep_failures_at_home(core_cell: Any) -> None:
    """Let what hospitals report pass to FLARE without the codes by which it would end a job.

    Args:
        core_cell: FLARE's end point of the server's main process.

    Raises:
        AttributeError: FLARE takes no such reports there.
    """
    take = core_cell.req_reg.find(*REPORT)

    def at_home(request: Message) -> Message | None:
        """FLARE's answer to a report of success, or of an end of which nothing is known."""
        if isinstance(request.payload, dict):
            request.payload = request.payload | {JobFailureMsgKey.CODE: known(request.payload)}
        answer: Message | None = take.cb(request, *take.args, **take.kwargs)
        return answer

    core_cell.register_request_cb(*REPORT, at_home)


def known(report: dict[str, Any]) -> int:
    """SUCCESS where a report says so, else UNKNOWN."""
    code = report.get(JobFailureMsgKey.CODE)
    return JobReturnCode.SUCCESS if type(code) is int and code == JobReturnCode.SUCCESS else JobReturnCode.UNKNOWN
