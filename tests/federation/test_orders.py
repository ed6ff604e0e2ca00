"""T9: a hospital that takes part in a job sends orders that are the server's; the job ends as if it had not."""

import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from fedefm.exchange.events import StageStarted
from fedefm.exchange.messages import Stage
from fedefm.federation import sites
from fedefm.federation.console import Console
from fedefm.federation.rehearsal import COMPLETED, JobLog, collect, signed_job, small_settings, theta_of
from fedefm.flare.orders import ACTION
from fedefm.foundation.run import run_in_process
from fedefm.maths.fingerprint import weights_sha256
from fedefm.models.checkpoint import load_weights
from support.rogue_site import ANSWERS, ORDERS
from support.rogues import RUN_TIME, Ear, until

pytestmark = [pytest.mark.federation, pytest.mark.slow, pytest.mark.timeout(600)]

VICTIM, ROGUE = "hospital-a", "hospital-c"
TESTS = Path(__file__).parents[1]


@contextmanager
def rogue_site(place, data, folder):
    """A hospital with a component of its own; its kit is no longer what was signed, so it starts unchecked."""
    kit = folder / ROGUE
    shutil.copytree(place.kit(ROGUE), kit, ignore=RUN_TIME)
    policy = kit / "local" / "resources.json"
    plain = json.loads(policy.read_text())
    plain["class_allow_list"].append("support.")
    plain["components"].append({"id": "rogue", "path": "support.rogue_site.RogueSite", "args": {}})
    policy.write_text(json.dumps(plain))
    script = kit / "startup" / "sub_start.sh"
    text = script.read_text()
    assert text.count("unset PYTHONPATH") == 1
    script.write_text(text.replace("unset PYTHONPATH", f"export PYTHONPATH={TESTS}"))
    sites.write_site_config(kit, data)
    with sites.site_process(kit, "sub_start.sh"):
        sites.wait_until(lambda: sites.registered(kit), {}, place, "register")
        yield kit


def orders(job_id):
    """What a hospital must not send: to the job, to the server's main process and to another hospital; each in its own
    name, in that of another hospital and in that of the server, in one piece, as a stream, and hidden among others."""
    job, victim_job = f"server.{job_id}", f"{VICTIM}.{job_id}"
    dead = {"headers": {"fl_client": VICTIM, "reason": "so says a rogue"}}
    given = [
        ("server_command", "abort", job, {}),
        ("server_command", "handle_dead_job", job, dead),
        ("_net_manager", "stop_cell", job, {}),
        ("cellnet.channel", "bye", job, {}),
        ("server_parent_listener", "update_run_status", "server", {"execution_error": True}),
        ("server_parent_listener", "heartbeat", "server", {}),
        ("_net_manager", "stop_cell", "server", {}),
        ("client_command", "abort", victim_job, {}),
        ("admin", "train.abort", VICTIM, {}),
        ("_net_manager", "stop_cell", victim_job, {}),
        ("cellnet.channel", "bye", VICTIM, {}),
    ]
    names = (None, VICTIM, f"{VICTIM}.{job_id}", "server", job)
    plain = [
        {"channel": channel, "topic": topic, "to": to, "job_id": job_id, "data": data, "name": name}
        for channel, topic, to, data in given
        for name in names
    ]
    hidden = [plain[0] | {"way": way, "name": name} for way in ("stream", "bulk") for name in names]
    return plain + hidden


@pytest.fixture(scope="module")
def consortium(place, folders, tmp_path_factory):
    """Hospitals a and b as they are, c a rogue."""
    honest = {name: folders[name] for name in place.hospitals if name != ROGUE}
    with (
        sites.running(place, honest),
        rogue_site(place, folders[ROGUE], tmp_path_factory.mktemp("rogue")) as kit,
    ):
        yield kit


def run(place, kit, settings, folder, given):
    """A job in whose midst the rogue sends what `given` makes of the job's id; id, status, and the answers it got."""
    (kit / ANSWERS).unlink(missing_ok=True)
    lead = Console(place.kit(place.people["lead"]))

    def speak(event):
        if isinstance(event, StageStarted) and event.stage is Stage.OVERSEAS and not (kit / ORDERS).exists():
            (kit / ORDERS).write_text(json.dumps(given(job_id)))

    job_id = lead.submit(signed_job(folder / "job", settings, place))
    try:
        status = lead.watch(job_id, JobLog(place, job_id, speak), 300.0)
        assert (kit / ORDERS).exists()
        until((kit / ANSWERS).exists, 200)
    finally:
        (kit / ORDERS).unlink(missing_ok=True)
    return lead, job_id, status, json.loads((kit / ANSWERS).read_text())


def test_t9_orders_of_a_hospital_are_ignored_and_the_audit_names_it(place, folders, consortium, tmp_path):
    settings = small_settings(3)
    expected = weights_sha256(theta_of(run_in_process(settings, folders).state.theta))
    log, audit = (Ear(place.kit(place.server) / name) for name in ("log.txt", "audit.log"))
    lead, job_id, status, answers = run(place, consortium, settings, tmp_path, orders)
    assert status == COMPLETED
    assert set(answers) == {"timeout"}  # no word comes back
    record = collect(lead.download(job_id, tmp_path / "download"), tmp_path / "out")
    assert record["lost"] == []
    assert load_weights(tmp_path / "out" / "theta.safetensors").sha256 == expected
    refused = [line for line in audit().splitlines() if f"[A:{ACTION}]" in line]
    assert refused and all(f"[U:{ROGUE}]" in line for line in refused)
    assert len(refused) < len(answers) / 4 and f"refused, {len(answers)} of this certificate" in refused[-1]
    assert f"{ROGUE}: a message" in log()
