"""The policies of a hospital or server. FLARE takes a missing policy for "all is allowed", hence these checks."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fedefm.doctor.finding import Finding, failed, failed_with, passed, warned
from fedefm.errors import ConfigError
from fedefm.kits import policy_files
from fedefm.kits.kit import HOSPITAL, Kit, read_object
from fedefm.kits.limits import LIMITS_FILE, MEGABYTE, read_limits

GUARD = "fedefm.flare.job_guard.JobGuard"
ORDERS = "fedefm.flare.orders.OrderGuard"
SUBMITTED = "fedefm.flare.submitted_jobs.SubmittedJobs"
NEVER = ("byoc", "server-predeployed-flwr")  # code that a job brings along
NEEDED = frozenset(
    {
        "nvflare.app_common.widgets.convert_to_fed_event.ConvertToFedEvent",
        "nvflare.app_opt.tracking.tb.tb_receiver.TBAnalyticsReceiver",
    }
)
FILTERS = "fedefm.flare.filters."
FETCH = "fetch the kit again from the consortium's administrator"
_SECURE = re.compile(r"^\s*export\s+NVFLARE_SECURE_LOGGING=[\"']?(true|1)\b", re.MULTILINE)


def policies(kit: Kit) -> Iterator[Finding]:
    """All policy files of `local/`."""
    files = {}
    for name in policy_files.POLICIES:
        try:
            files[name] = read_object(kit.local / name)
        except ConfigError as error:
            yield failed_with("policy", error)
    if "authorization.json" in files:
        yield from rights(files["authorization.json"])
    if "privacy.json" in files:
        yield from scopes(files["privacy.json"])
    if "resources.json" in files:
        resources = files["resources.json"]
        yield from classes(resources)
        yield from log_streaming(resources)
        yield from order_guard(resources, kit.role)
        if kit.role == HOSPITAL:
            yield from job_guard(resources)
        else:
            yield from submitted_jobs(resources)
            yield from storage(resources, kit.folder)
    if LIMITS_FILE in files:
        yield from limits(kit)
    yield from secure_logging(kit)


def limits(kit: Kit) -> Iterator[Finding]:
    """How much a signed job or folder of models may hold here."""
    try:
        found = read_limits(kit.local)
    except ConfigError as error:
        yield failed("limits", str(error), FETCH)
        return
    most = ", ".join(f"a {kind} {limit.bytes // MEGABYTE} MB" for kind, limit in found.items())
    yield passed("limits", f"at most, {most}")


def rights(plain: Mapping[str, Any]) -> Iterator[Finding]:
    """No role may bring code in a job."""
    permissions = plain.get("permissions")
    if not isinstance(permissions, dict) or not permissions:
        yield failed("rights", "authorization.json gives no permissions, so that FLARE checks none", FETCH)
        return
    faults = [f"{role} may {right}" for role, given in permissions.items() for right in NEVER if _may(given, right)]
    for fault in faults:
        yield failed("rights", f"authorization.json: {fault}", FETCH)
    if not faults:
        yield passed("rights", f"no role may bring code in a job ({', '.join(permissions)})")


def scopes(plain: Mapping[str, Any]) -> Iterator[Finding]:
    """Privacy scopes are named, and the default is one of them."""
    named = [one.get("name") for one in plain.get("scopes") or () if isinstance(one, dict)]
    if not named or plain.get("default_scope") not in named:
        yield failed("privacy", "privacy.json names no scope, or a default that is not among them", FETCH)
        return
    blind = sorted({path for path in _filters(plain) if not path.startswith(FILTERS)})
    for path in blind:
        text = f"privacy.json: {path!r:.100} filters nothing of this package's messages, and each job is refused here"
        yield failed("privacy", text, f"name it inside {FILTERS}OnUpdate, or take it out, and have the kit made again")
    if not blind:
        yield passed("privacy", f"scopes {', '.join(map(str, named))}")


def _filters(plain: Mapping[str, Any]) -> Iterator[str]:
    """Paths of the filters of all scopes."""
    for scope in plain["scopes"]:
        for chain in ("task_data_filters", "task_result_filters"):
            listed = scope.get(chain) if isinstance(scope, dict) else None
            yield from _paths({"components": listed or ()})


def classes(plain: Mapping[str, Any]) -> Iterator[Finding]:
    """A job may name classes of fedefm, and single classes of FLARE."""
    allowed = plain.get("class_allow_list")
    if plain.get("class_list_enforcement_mode") != "enforce" or not isinstance(allowed, list):
        yield failed("classes", "resources.json does not enforce a class_allow_list", FETCH)
        return
    broad = [str(one) for one in allowed if not _narrow(str(one))]
    for one in broad:
        yield failed("classes", f"resources.json: class_allow_list holds {one!r:.80}, more than single classes", FETCH)
    if not any(str(one).startswith("fedefm.") for one in allowed):
        yield failed("classes", "resources.json: class_allow_list does not hold fedefm", FETCH)
        return
    extra = sorted(one for one in map(str, allowed) if _narrow(one) and not _ours(one) and one not in NEEDED)
    for one in extra:
        yield warned("classes", f"resources.json: fedefm does not need {one}", "ask the consortium what it is for")
    if not broad:
        yield passed("classes", f"jobs may name {len(allowed)} entries, no whole package of FLARE")


def log_streaming(plain: Mapping[str, Any]) -> Iterator[Finding]:
    """No log of the hospital goes to the server: neither by a component nor by a job that asks for it."""
    streamers = [one for one in _paths(plain) if "streamer" in one.casefold()]
    if streamers or plain.get("allow_log_streaming") is not False:
        yield failed("log streaming", "resources.json lets logs leave this site", FETCH)
        return
    yield passed("log streaming", "off")


def job_guard(plain: Mapping[str, Any]) -> Iterator[Finding]:
    """The component that verifies a job before it is deployed."""
    components = [one for one in plain.get("components") or () if isinstance(one, dict)]
    if [one.get("path") for one in components if one.get("id") == "app_deployer"] != [GUARD]:
        yield failed("job guard", f"resources.json does not name {GUARD} as app_deployer: jobs run unverified", FETCH)
        return
    yield passed("job guard", "jobs are verified before they are deployed")


def submitted_jobs(plain: Mapping[str, Any]) -> Iterator[Finding]:
    """The server's component that takes no job with code in it."""
    if SUBMITTED not in _paths(plain):
        yield failed("submitted jobs", f"resources.json does not name {SUBMITTED}: a job may bring code", FETCH)
        return
    yield passed("submitted jobs", "a job that holds code is not taken")


def order_guard(plain: Mapping[str, Any], role: str) -> Iterator[Finding]:
    """The component that refuses orders of whoever may give none; the server's carries no order on to a hospital."""
    if ORDERS not in _paths(plain):
        finding = warned if role == HOSPITAL else failed
        yield finding("order guard", f"resources.json does not name {ORDERS}: a hospital may end others' jobs", FETCH)
        return
    yield passed("order guard", "orders come from the server alone")


def storage(plain: Mapping[str, Any], kit: Path) -> Iterator[Finding]:
    """Jobs and snapshots of the server outlive a restart of the machine."""
    lost = sorted({one for one in _strings(plain) if _temporary(one)})
    if not lost:
        yield passed("storage", "outside the temporary folder")
    elif _temporary(str(kit.resolve())):
        yield warned("storage", f"{lost[0]} is temporary, as the kit itself", "keep kit and storage elsewhere")
    else:
        yield failed("storage", f"resources.json keeps jobs in {lost[0]}, which a restart empties", FETCH)


def secure_logging(kit: Kit) -> Iterator[Finding]:
    """FLARE writes exceptions without their text, which may name patients' files."""
    scripts = [path for path in sorted(kit.startup.glob("*start.sh")) if _SECURE.search(path.read_text())]
    if not scripts and os.environ.get("NVFLARE_SECURE_LOGGING", "").lower() not in ("true", "1"):
        yield failed("secure logging", "no start script sets NVFLARE_SECURE_LOGGING", FETCH)
        return
    yield passed("secure logging", f"on, by {scripts[0].name if scripts else 'the environment'}")


def _may(given: Any, right: str) -> bool:
    """A role with the one word `any` has every right; a right that is not named is not given."""
    value = given.get("any", given.get(right, "none")) if isinstance(given, dict) else given
    return value not in ("none", ["none"])


def _narrow(entry: str) -> bool:
    """Whether an entry allows `fedefm`, or one class of FLARE by its full name: its module, then a capital letter."""
    parts = entry.split(".")
    return _ours(entry) or (parts[0] == "nvflare" and len(parts) > 2 and parts[-1][:1].isupper())


def _ours(entry: str) -> bool:
    return entry.startswith("fedefm.")


def _paths(plain: Mapping[str, Any]) -> Iterator[str]:
    for one in plain.get("components") or ():
        yield str(one.get("path", one.get("name", ""))) if isinstance(one, dict) else ""


def _strings(plain: Any) -> Iterator[str]:
    if isinstance(plain, str):
        yield plain
    elif isinstance(plain, Mapping):
        for value in plain.values():
            yield from _strings(value)
    elif isinstance(plain, list):
        for value in plain:
            yield from _strings(value)


def _temporary(path: str) -> bool:
    places = {"/tmp", "/var/tmp", "/dev/shm", tempfile.gettempdir(), str(Path(tempfile.gettempdir()).resolve())}  # noqa: S108
    return any(path == place or path.startswith(f"{place}/") for place in places)
