"""What became of each job at a hospital: asked for, approved or denied by whom, deployed, launched once, ended.

The lines of `fedefm-jobs.jsonl` in the site's folder. It is a control as well as a record: a signature that was
launched is never deployed again, so that an old job cannot be played again, and what a person decided holds as long as
the file does. One that was deployed and not launched may come again under another id: the job did not start because
some other hospital refused it, or waits for a person's yes. Whatever is wrong with the file is an error, and so a
refusal.
"""

from __future__ import annotations

import threading
from pathlib import Path

from fedefm.errors import TrustError
from fedefm.trust.certificates import load_certificate, name_of
from fedefm.trust.ledger import JOBS, OUTBOX, Ledger, Line
from fedefm.trust.manifest import SignedManifest

WAITING, APPROVED, DENIED = "waiting", "approved", "denied"
DEPLOYED, LAUNCHED, REFUSED, ENDED = "deployed", "launched", "refused", "ended"

_MAX_TEXT = 200  # of what a server says before anything is verified


class JobLedger:
    """The ledger of jobs of one site.

    Args:
        folder: the site's workspace.
    """

    _lock = threading.Lock()

    def __init__(self, folder: Path):
        self._folder, self._ledger = folder, Ledger(folder, JOBS)

    def deployed(self, manifest: SignedManifest, job_id: str, allowed: str) -> None:
        """Note a signature before its job is deployed.

        Args:
            manifest: of the job.
            job_id: that FLARE gave it.
            allowed: why it may run here: a person's decision, or a rule.

        Raises:
            TrustError: it ran here before, or the ledger cannot be read or written.
        """
        with self._lock:
            if any(line["event"] == LAUNCHED for line in self.lines_of(manifest.serial)):
                raise TrustError("this signed job was here before; sign it again with `fedefm trust sign`")
            self._ledger.append(DEPLOYED, **told_of(manifest), job_id=job_id, allowed=allowed)

    def launched(self, manifest: SignedManifest, job_id: str) -> None:
        """Note a launch before it happens.

        Raises:
            TrustError: the signature was not deployed for this job, or later for another, or was launched before.
        """
        with self._lock:
            lines = self.lines_of(manifest.serial)
            before = [line.get("job_id") for line in lines if line["event"] == DEPLOYED]
            if before[-1:] != [job_id] or any(line["event"] == LAUNCHED for line in lines):
                raise TrustError("this signed job was not deployed here for this job id, or ran before; submit it anew")
            self._ledger.append(LAUNCHED, **told_of(manifest), job_id=job_id)

    def waits(self, manifest: SignedManifest, job_id: str) -> None:
        """Note once that a job waits for a person's decision.

        Raises:
            TrustError: the ledger cannot be read or written.
        """
        with self._lock:
            if not self.lines_of(manifest.serial):
                self._ledger.append(WAITING, **told_of(manifest), job_id=job_id)

    def decided(self, manifest: SignedManifest, decision: str, by: str) -> None:
        """Keep a person's decision; a later one takes the place of an earlier one.

        Args:
            manifest: of the job.
            decision: `approved` or `denied`.
            by: who decided.

        Raises:
            TrustError: the ledger cannot be read or written.
        """
        with self._lock:
            self._ledger.append(decision, **told_of(manifest), by=by)

    def refused(self, job_id: str, reason: str, name: str = "") -> None:
        """Keep why a job was refused."""
        self._ledger.append(REFUSED, job_id=job_id[:_MAX_TEXT], name=name[:_MAX_TEXT], reason=reason)

    def ended(self, job_id: str) -> None:
        """Keep that a job is over here, how many replies left in it, and where the ledger of what leaves stands now.

        Raises:
            TrustError: one of the two ledgers cannot be read or written.
        """
        with self._lock:
            ours = [line for line in self.read() if line.get("job_id") == job_id and line["event"] == LAUNCHED]
            if not ours:
                return
            outbox = Ledger(self._folder, OUTBOX)
            sent = sum(line.get("job") == job_id for line in outbox.read())
            said = {key: ours[-1].get(key, "") for key in ("serial", "name", "signer")}
            self._ledger.append(ENDED, **said, job_id=job_id, sent=sent, outbox=outbox.end().sha256)

    def decision_of(self, serial: str) -> Line | None:
        """The last decision of a person about a signature, if there is one."""
        found = [line for line in self.lines_of(serial) if line["event"] in (APPROVED, DENIED)]
        return found[-1] if found else None

    def lines_of(self, serial: str) -> list[Line]:
        """All lines about one signature."""
        return [line for line in self.read() if line.get("serial") == serial]

    def read(self) -> list[Line]:
        """All lines.

        Raises:
            TrustError: a line is damaged, changed or missing; the first is named.
        """
        lines = self._ledger.read()
        for number, line in enumerate(lines, 1):
            if not isinstance(line.get("event"), str):
                raise TrustError(f"{JOBS} of this site: line {number} is damaged; restore it from a backup")
        return lines


def told_of(manifest: SignedManifest) -> dict[str, str]:
    """What a line says of a signed job: its signature's number, its name, and who signed it."""
    return {"serial": manifest.serial, "name": manifest.subject, "signer": signer_of(manifest)}


def signer_of(manifest: SignedManifest) -> str:
    """The name in the signer's certificate."""
    return name_of(load_certificate(manifest.certificate.encode(), "the signer's certificate"))
