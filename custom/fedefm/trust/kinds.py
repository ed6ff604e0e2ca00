"""What a manifest covers: the four kinds of folder, and the names that are left out of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from fedefm.errors import TrustError
from fedefm.trust.disabled import DISABLED_NAME, parse_disabled
from fedefm.trust.ledger import FILES, JOBS

MANIFEST_NAME = "fedefm-manifest.json"
SIGNATURE_NAME = "fedefm-manifest.sig"
LEDGER_NAME = JOBS
REVOKED_NAME = "fedefm-revoked.json"  # the deny list, which has a signature of its own
PEERS_NAME = "fedefm-peers.json"  # at the server: which certificate each peer showed last
WAITING_NAME = "fedefm-waiting"  # folder of jobs that a hospital has not yet decided about
_OURS = frozenset({MANIFEST_NAME, SIGNATURE_NAME})
_NEVER = re.compile(r"(?!)")
JOB_ID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


MAX_FILES = 4096  # of any kind: a manifest that names more is not read


@dataclass(frozen=True)
class Limits:
    """The most that a signed folder may hold, all files together; whoever reads one is bound by it.

    Attributes:
        files: how many.
        bytes: of all of them.
    """

    files: int
    bytes: int


TEXT = Limits(MAX_FILES, 64_000_000)
WEIGHTS = Limits(MAX_FILES, 20_000_000_000)


@dataclass(frozen=True)
class Written:
    """A file with a meaning that FLARE writes after the signature: it may be there, and its content is checked.

    Attributes:
        beside: relative path of a signed file; without it FLARE does not write this one, and it is refused.
        check: raises `TrustError` for any other content than FLARE's.
    """

    beside: str
    check: Callable[[bytes], object]


@dataclass(frozen=True)
class Kind:
    """A kind of signed folder. Everything in it is signed but the names given here.

    Attributes:
        name: as in the manifest.
        remedy: ends each message about a file.
        unsigned: relative paths of files that the folder may hold without a signature.
        unsigned_anywhere: names of such files in any folder of it.
        run_time: top level names (a pattern) that FLARE makes while it runs, files and folders.
        written: files that FLARE writes with a meaning, by their names at the top level.
        keys: relative paths of private keys, not signed.
        json_by_content: of a `.json` file its content counts, not its spaces and line ends.
        tight: group and others may write nothing in it, nor read its private keys.
        limits: how much it may hold where no policy says otherwise.
    """

    name: str
    remedy: str
    unsigned: Collection[str] = _OURS
    unsigned_anywhere: Collection[str] = frozenset()
    run_time: re.Pattern[str] = field(default=_NEVER)
    written: Mapping[str, Written] = field(default_factory=dict)
    keys: Collection[str] = frozenset()
    json_by_content: bool = False
    tight: bool = False
    limits: Limits = TEXT

    def leaves_out_file(self, path: str) -> bool:
        """Whether a file stays unsigned: our own, the participant's own, or one that FLARE writes."""
        name = path.rsplit("/", 1)[-1]
        ours = path in self.unsigned or path in self.keys or name in self.unsigned_anywhere
        return ours or path in self.written or self._at_run_time(path)

    def leaves_out_folder(self, path: str) -> bool:
        """Whether a folder stays unsigned with all below it: FLARE made it while it ran."""
        return self._at_run_time(path)

    def _at_run_time(self, path: str) -> bool:
        return self.run_time.fullmatch(path) is not None


# A private key may be made at the hospital, after the consortium signed; the signed certificate binds it instead. The
# hospital writes the place of its data itself. FLARE's names were read in its code, and off kits that had been started,
# had run jobs, had a hospital disabled and enabled, and were stopped. The list of disabled hospitals is written beside
# its place first: a server that is killed may leave that file, which nobody reads.
KIT = Kind(
    name="kit",
    remedy="fetch the kit again from the consortium's administrator",
    unsigned=_OURS | {"local/fedefm_site.json", "local/fedefm_server.json"},
    keys=frozenset({"startup/client.key", "startup/server.key"}),
    run_time=re.compile(
        rf"{JOB_ID}|transfer|audit\.log|(log|log_fl|error_log|console|stats)\.(txt|json|log)(\.\d+)?"
        rf"|(pid|daemon_pid|shutdown|restart)\.fl|{FILES}|{WAITING_NAME}"
        rf"|\.nvflare_slurm|{re.escape(REVOKED_NAME)}|{re.escape(PEERS_NAME)}"
        rf"|{re.escape(DISABLED_NAME)}\.\w{{8}}\.tmp"
    ),
    written={DISABLED_NAME: Written("startup/fed_server.json", parse_disabled)},
    tight=True,
)
# FLARE signs a job again while it submits it, in two files a folder, and checks those itself; before that,
# `nvflare job submit` reads and writes each configuration file in config/ anew, so that its bytes change (measured).
JOB = Kind(
    name="job",
    remedy="sign the job again with `fedefm trust sign`",
    unsigned_anywhere=frozenset({".__nvfl_sig.json", ".__nvfl_submitter.crt"}),
    json_by_content=True,
)
MODEL = Kind(name="model", remedy="sign the models again with `fedefm trust sign`, or fetch them again", limits=WEIGHTS)
REPORT = Kind(name="report", remedy="make the report again and sign it, or fetch it again", limits=WEIGHTS)
KINDS = {kind.name: kind for kind in (KIT, JOB, MODEL, REPORT)}


def kind_named(name: str) -> Kind:
    """The kind of that name.

    Raises:
        TrustError: there is no such kind.
    """
    if name not in KINDS:
        raise TrustError(f"kind {name!r:.40} is unknown; use one of {', '.join(KINDS)}")
    return KINDS[name]
