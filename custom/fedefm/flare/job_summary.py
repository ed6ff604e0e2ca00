"""One page about a signed job, for the person at a hospital who says yes or no to it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from fedefm.errors import ConfigError, FedefmError
from fedefm.evaluation.settings import load_evaluation
from fedefm.finetune.settings import load_finetune
from fedefm.foundation.settings import Settings, load_settings
from fedefm.kits.approval import kind_of
from fedefm.models.outline import outline
from fedefm.models.spec import ModelSpec
from fedefm.survey.settings import load_survey
from fedefm.trust import SignedManifest
from fedefm.trust.certificates import load_certificate, role_of
from fedefm.trust.job_ledger import signer_of

_READERS: dict[str, Any] = {
    "foundation": load_settings,
    "finetune": load_finetune,
    "evaluation": load_evaluation,
    "data_report": load_survey,
}
_DOES = {
    "foundation": "trains the network on the images here, and on weights of other hospitals that visit",
    "finetune": "tunes the weights of an earlier job on the images here",
    "evaluation": "measures models on the test images here; trains nothing",
    "data_report": "describes the data here in figures; trains nothing",
}
_LEAVES = {
    "foundation": "weights after each task; losses, Dice and numbers of images",
    "finetune": "weights after each round; losses, scores and numbers of images",
    "evaluation": "scores with intervals, and numbers of images; no weights",
    "data_report": "numbers, formats and grey values of the folder; no weights",
}
TENSORS = 10_000
_COPIES = 4  # of the weights while training: themselves, gradients, and two moments of AdamW


def summary(app: Path, manifest: SignedManifest, root: Path) -> dict[str, Any]:
    """What a verified job is, in the order in which it is read.

    Args:
        app: folder of the app, verified against the manifest.
        manifest: of it.
        root: the consortium's root certificate.
    """
    kind = kind_of(app)
    signer = load_certificate(manifest.certificate.encode())
    plain: dict[str, Any] = {
        "job": manifest.subject,
        "signature": manifest.serial,
        "signed": f"{manifest.made} by {signer_of(manifest)} ({role_of(signer, load_certificate(root))})",
        "kind": kind,
        "does": _DOES.get(kind, "is none of the jobs of this package: do not approve what you were not told about"),
        "leaves": _LEAVES.get(kind, "not known"),
    }
    try:
        plain |= _settings(app, kind)
    except FedefmError as error:
        plain["settings"] = f"cannot be used: {error}"
    return plain


def page(plain: dict[str, Any]) -> str:
    """The same as text of one page."""
    width = max(map(len, plain))
    lines: list[str] = []
    for name, value in plain.items():
        if isinstance(value, dict):
            lines += [f"{name}:", *(f"  {key}: {json.dumps(value[key], sort_keys=True)}" for key in sorted(value))]
        else:
            lines.append(f"{name:<{width}}  {value}")
    return "\n".join(lines)


def read_settings(app: Path) -> Any:
    """The settings of an app, as its job reads them; None where it is none of the jobs of this package.

    Raises:
        ConfigError: they cannot be used.
    """
    kind = kind_of(app)
    return _READERS[kind](app / "config" / f"{kind}.json") if kind in _READERS else None


def _settings(app: Path, kind: str) -> dict[str, Any]:
    found = read_settings(app)
    if found is None:
        return {"settings": ", ".join(sorted(path.name for path in (app / "config").glob("*.json")))}
    least = found.schedule.min_sites if kind == "foundation" else found.min_sites
    told = {"classes": ", ".join(found.classes), "needs": f"at least {least} hospitals"}
    if kind == "foundation":
        told |= {"planned": _planned(found), "start": found.start or "random weights of the job's seed"}
    elif kind == "finetune":
        told["planned"] = f"{found.rounds} rounds, {found.steps} gradient steps in all; {found.mode} of {found.task}"
        told["start"] = f"Theta of job {found.theta or '(none named)'}"
    elif kind == "evaluation":
        told["models"] = ", ".join(found.models)
    if hasattr(found, "model"):
        told |= _network(found.model, len(found.classes), found.size, trains=kind in ("foundation", "finetune"))
    return told | {"settings": found.to_dict()}


def _planned(found: Settings) -> str:
    one = found.schedule
    return (
        f"method {one.method}, {one.rounds} rounds; here {one.local_steps} gradient steps at first, then in each round "
        f"{one.overseas_steps} for each hospital that visits and {one.distil_steps} of distillation, or as many in all"
    )


def _network(spec: ModelSpec, classes: int, size: int, *, trains: bool) -> dict[str, str]:
    try:
        schema = outline(spec, classes, size, TENSORS)
    except ConfigError as error:
        return {"network": f"cannot be built: {error}"}
    megabytes = sum(math.prod(shape) * dtype.itemsize for shape, dtype in schema.values()) / 1e6
    memory = f"; about {_COPIES * megabytes:.0f} MB of memory beside the images" if trains else ""
    return {"network": f"{spec.architecture} on {spec.encoder}, {size} pixels, {megabytes:.1f} MB of weights{memory}"}
