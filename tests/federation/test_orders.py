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
from fedefm.files import write_whole
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


def own_work(job_id):
    """What passes as a hospital's own work, and ends everybody's job where FLARE is as it is."""
    job = f"server.{job_id}"
    event = {"headers": {"_event_type": "_fatal_system_error"}}
    return [
        {"channel": "task", "topic": "report_job_failure", "to": "server", "data": {"code": 101, "reason": "none"}},
        {"channel": "aux_communication", "topic": "fed.event", "to": job, "data": event, "way": "stream"},
        {"channel": "aux_communication", "topic": "fed.event", "to": job, "data": event},
        {"channel": "server_command", "topic": "submit_update", "to": job, "way": "garbage"},
    ]


def all_of_it(job_id):
    return [one | {"job_id": job_id} for one in own_work(job_id)] + orders(job_id)


@pytest.fixture(scope="module")
def consortium(place, folders, tmp_path_factory):
    """Hospitals a and b as they are, c a rogue."""
    honest = {name: folders[name] for name in place.hospitals if name != ROGUE}
    with (
        sites.running(place, honest),
        rogue_site(place, folders[ROGUE], tmp_path_factory.mktemp("rogue")) as kit,
    ):
        yield kit


class Rogue:
    """Has the rogue send its orders once, in the midst of a job; keeps what happened in the job after their answers."""

    def __init__(self, kit, orders):
        self.kit, self.orders, self.after = kit, orders, []
        self.sent = False

    def __call__(self, event):
        if (self.kit / ANSWERS).exists():
            self.after.append(event)
        elif isinstance(event, StageStarted) and event.stage is Stage.OVERSEAS and not self.sent:
            write_whole(self.kit / ORDERS, json.dumps(self.orders))
            self.sent = True


def run(place, kit, settings, folder, given):
    """A job in whose midst the rogue sends what `given` makes of the job's id; id, status, rogue, its answers."""
    (kit / ANSWERS).unlink(missing_ok=True)
    lead = Console(place.kit(place.people["lead"]))
    job_id = lead.submit(signed_job(folder / "job", settings, place))
    rogue = Rogue(kit, given(job_id))
    status = lead.watch(job_id, JobLog(place, job_id, rogue), 300.0)
    assert rogue.sent
    until((kit / ANSWERS).exists, 100)
    return lead, job_id, status, rogue, json.loads((kit / ANSWERS).read_text())


def counted(audit):
    """How many messages the audit says were refused, after holding each line to the rogue's name."""
    lines = [line for line in audit().splitlines() if f"[A:{ACTION}]" in line]
    assert all(f"[U:{ROGUE}]" in line for line in lines)
    return len(lines), int(lines[-1].split("refused, ")[1].split()[0]) if lines else 0


def test_t9_orders_of_a_hospital_are_ignored_and_the_audit_names_it(place, folders, consortium, tmp_path):
    settings = small_settings(3)
    expected = weights_sha256(theta_of(run_in_process(settings, folders).state.theta))
    log, audit = (Ear(place.kit(place.server) / name) for name in ("log.txt", "audit.log"))
    lead, job_id, status, rogue, answers = run(place, consortium, settings, tmp_path, all_of_it)
    assert status == COMPLETED and rogue.after
    refused = answers[len(own_work(job_id)) :]
    assert answers[0] == "ok" and set(refused) == {"timeout"}  # to orders no word comes back
    record = collect(lead.download(job_id, tmp_path / "download"), tmp_path / "out")
    assert record["lost"] == []
    assert load_weights(tmp_path / "out" / "theta.safetensors").sha256 == expected
    until(lambda: counted(audit)[1] >= len(refused), 150)
    assert counted(audit)[0] <= 4 and f"{ROGUE}: a message" in log()
