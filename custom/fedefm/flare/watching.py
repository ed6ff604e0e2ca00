"""A person's look at a running job, through FLARE's own port for people and behind the consortium's certificates.

It asks and changes nothing: `show_stats` and `get_job_meta` need FLARE's right `view`, which every role of the
consortium has. What the server answers is validated like anything else from a peer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvflare.fuel.flare_api.api_spec import (
    AuthenticationError,
    AuthorizationError,
    JobNotFound,
    JobNotRunning,
    NoConnection,
)
from nvflare.fuel.flare_api.flare_api import new_secure_session
from nvflare.tool.cli_output import set_output_format

from fedefm.errors import ConfigError, FedefmError, TrustError, visible
from fedefm.exchange.status import JobStatus
from fedefm.flare.job_status import status_in
from fedefm.kits.kit import Kit, open_persons_kit
from fedefm.settings import build, check_id

CONNECT_SECONDS, COMMAND_SECONDS = 20.0, 15.0


@dataclass(frozen=True)
class Seen:
    """A job as the server answers.

    Attributes:
        job: its id.
        flare: FLARE's own status of it, such as `RUNNING`.
        status: what its process knows; None while it does not run.
    """

    job: str
    flare: str
    status: JobStatus | None

    @property
    def is_over(self) -> bool:
        """Whether it will never run again."""
        return self.flare.startswith("FINISHED")


Look = Callable[[], Seen]


@contextmanager
def watching(folder: Path, job: str) -> Iterator[Look]:
    """Within the block the function that is given looks at a job once.

    Args:
        folder: the kit of a person of the consortium.
        job: the job's id.

    Raises:
        ConfigError: no such kit or no such job. TrustError: the server does not let this person look.
        FedefmError: the server does not answer.
    """
    check_id(job)
    with session_of(folder) as (kit, session):
        yield lambda: asked(kit, lambda: _look(session, job))


@contextmanager
def session_of(folder: Path) -> Iterator[tuple[Kit, Any]]:
    """A person's kit, and FLARE's session of that person with the server.

    Raises:
        ConfigError: no such kit. TrustError, FedefmError: as `asked`.
    """
    kit = open_persons_kit(folder)
    set_output_format("json")  # FLARE's notes ("Connecting to FLARE ...") go to stderr: our output may be a program's
    session = asked(kit, lambda: new_secure_session(kit.name, str(folder.resolve()), timeout=CONNECT_SECONDS))
    try:
        session.set_timeout(COMMAND_SECONDS)
        yield kit, session
    finally:
        session.close()


def _look(session: Any, job: str) -> Seen:
    try:
        found = status_in(session.show_stats(job, "server"))
    except (JobNotRunning, JobNotFound):  # FLARE says the latter too where the job's process does not answer in time
        found = None
    if found is not None:
        return Seen(job, "RUNNING", build(JobStatus, dict(found), "status"))
    try:
        return Seen(job, visible(str(session.get_job_meta(job).get("status", "")))[:80], None)
    except JobNotFound as error:
        raise ConfigError(f"job {job}: the server has none of this id; `nvflare job list` names its jobs") from error


def asked(kit: Kit, ask: Callable[[], Any]) -> Any:
    """What was asked for, with FLARE's errors as ours.

    Raises:
        TrustError: the server does not know this person, or grants no such right.
        FedefmError: it does not answer.
    """
    [(host, port)] = kit.endpoints
    try:
        return ask()
    except FedefmError:
        raise
    except NoConnection as error:
        raise FedefmError(
            f"{host}:{port}: the server does not answer; see that it runs and that this machine reaches that port"
        ) from error
    except AuthenticationError as error:
        raise TrustError(f"{host}:{port}: the server does not know '{kit.name}'; ask for a new kit") from error
    except AuthorizationError as error:
        raise TrustError(f"{host}:{port}: '{kit.name}' has no right to this; ask the consortium") from error
    except Exception as error:
        said = visible(str(error))[:200]
        raise FedefmError(
            f"{host}:{port}: the server cannot say ({type(error).__name__}: {said}); try again"
        ) from error
