"""Every reply of a hospital stands in its ledger before it leaves, as the site's own filters have left it.

A line of `fedefm-outbox.jsonl` in the site's folder, for the hospital's data-protection officer:

| key | what it says |
| --- | --- |
| `job`, `name`, `signer` | the job, and whose signature it runs by |
| `task`, `recipient`, `about` | which work it answers, who gets it, and whose weights or pictures it was about |
| `what` | `result`; `error` without weights and figures; `lacks`, which asks for weights |
| `figures` | names of all figures in it |
| `bytes` | of the weights and of the figures as JSON |
| `weights` | SHA-256 of the weights as the record of the job has it; null where none leave |
| `sha256` | of the reply: of its parts, with the weights' hash in their place, as `fedefm.trust.exact.canonical` text |
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nvflare.apis.fl_constant import FLContextKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable

from fedefm.errors import TrustError
from fedefm.exchange.bounds import plain_copy
from fedefm.flare.envelope import IMAGES, LACKS, REASON, REPORT, TASK_ID, WEIGHTS, held_of, lacks
from fedefm.kits.kit import STARTUP, open_kit
from fedefm.maths.fingerprint import FINGERPRINTS
from fedefm.maths.size import nbytes
from fedefm.trust.certificates import load_certificate, name_of
from fedefm.trust.exact import canonical
from fedefm.trust.kinds import MANIFEST_NAME
from fedefm.trust.ledger import OUTBOX, Ledger
from fedefm.trust.manifest import MAX_MANIFEST_BYTES, parse_manifest

_NOTED = "fedefm_noted"
UNSIGNED = "(unsigned)"  # in the simulator


def note_what_leaves(reply: Any, fl_ctx: FLContext) -> None:
    """Add a line about a reply to the site's ledger; the same reply once.

    Raises:
        TrustError: the ledger cannot be written, or it is no reply of this package: it must not leave.
    """
    if fl_ctx.get_prop(_NOTED) is reply:
        return
    if not isinstance(reply, Shareable):
        raise TrustError("a reply is no message of FLARE; send this line to the consortium")
    Ledger(Path(fl_ctx.get_workspace().get_root_dir()), OUTBOX).append(
        "sent", **job_of(fl_ctx), **told_of(reply, fl_ctx)
    )
    fl_ctx.set_prop(_NOTED, reply, private=True, sticky=False)


def told_of(reply: Shareable, fl_ctx: FLContext) -> dict[str, Any]:
    """What the ledger says of a reply itself."""
    weights, report = reply.get(WEIGHTS), reply.get(REPORT)
    weights_hash = FINGERPRINTS.of(weights) if weights else None
    parts = {
        "code": reply.get_return_code(),
        "reason": reply.get_header(REASON),
        "task": reply.get(TASK_ID),
        "images": reply.get(IMAGES),
        "report": plain_copy(report),
        "weights": weights_hash,
        "held": sorted(held_of(reply) or ()),
        "lacks": reply.get_header(LACKS),
    }
    text = canonical(parts)
    return {
        "task": reply.get(TASK_ID) or str(fl_ctx.get_prop(FLContextKey.TASK_NAME)),
        "recipient": recipient_of(fl_ctx),
        "about": _about(reply.get(TASK_ID)),
        "what": "lacks" if lacks(reply) else "result" if reply.get_return_code() == ReturnCode.OK else "error",
        "figures": sorted(set(figure_names(report or {}))) + ([IMAGES] if IMAGES in reply else []),
        "bytes": (nbytes(weights) if weights else 0) + len(text),
        "weights": weights_hash,
        "sha256": hashlib.sha256(text).hexdigest(),
    }


def job_of(fl_ctx: FLContext) -> dict[str, str]:
    """The job, its name and its signer, from the manifest that the site's guard verified before the start.

    Raises:
        TrustError: there is a manifest that cannot be read.
    """
    job_id = str(fl_ctx.get_job_id())
    path = Path(fl_ctx.get_workspace().get_app_dir(job_id)) / MANIFEST_NAME
    if not path.is_file():
        return {"job": job_id, "name": "", "signer": UNSIGNED}
    with path.open("rb") as file:
        manifest = parse_manifest(file.read(MAX_MANIFEST_BYTES + 1))
    return {"job": job_id, "name": manifest.subject, "signer": name_of(load_certificate(manifest.certificate.encode()))}


def recipient_of(fl_ctx: FLContext) -> str:
    """The server that the kit names, and whose certificate was verified; in the simulator, whoever sent the task."""
    kit = Path(fl_ctx.get_workspace().get_root_dir())
    if (kit / STARTUP / "fed_client.json").is_file():
        return ", ".join(sorted({host for host, _ in open_kit(kit).endpoints}))
    peer = fl_ctx.get_peer_context()
    return str(peer.get_identity_name()) if peer is not None else "server"


def figure_names(report: Any, before: str = "") -> Iterator[str]:
    """Names of all figures of a report, with those that they lie in before them; the items of a list have one name."""
    if isinstance(report, Mapping):
        for name, value in report.items():
            yield from figure_names(value, f"{before}.{name}" if before else str(name))
    elif isinstance(report, (list, tuple)):
        for value in report:
            yield from figure_names(value, before)
    elif before:
        yield before


def _about(task_id: Any) -> str | None:
    """The hospital whose weights or pictures a task is about; its id is `round/stage/visitor@site`."""
    return task_id.rpartition("/")[2].partition("@")[0] if isinstance(task_id, str) else None
