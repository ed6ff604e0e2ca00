"""What a rogue hospital sends in the midst of a job, how its kit comes to do so, and what the audit says of it."""

import json
from pathlib import Path

from fedefm.exchange.events import StageStarted
from fedefm.exchange.messages import Stage
from fedefm.files import write_whole
from fedefm.flare.orders import ACTION
from support.rogue_site import ANSWERS, ORDERS

VICTIM, ROGUE = "hospital-a", "hospital-c"


def with_a_rogue_in_it(kit: Path, modules: str) -> None:
    """Give a kit a component of its own, from a folder of modules; it is no longer what was signed."""
    policy = kit / "local" / "resources.json"
    plain = json.loads(policy.read_text())
    plain["class_allow_list"].append("support.")
    plain["components"].append({"id": "rogue", "path": "support.rogue_site.RogueSite", "args": {}})
    policy.write_text(json.dumps(plain))
    script = kit / "startup" / "sub_start.sh"
    text = script.read_text()
    assert text.count("unset PYTHONPATH") == 1
    script.write_text(text.replace("unset PYTHONPATH", f"export PYTHONPATH={modules}"))


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
    """Its own work first, then the orders."""
    return [one | {"job_id": job_id} for one in own_work(job_id)] + orders(job_id)


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

    def answers(self):
        """What came back to each order; None as long as not all are answered."""
        return json.loads((self.kit / ANSWERS).read_text()) if (self.kit / ANSWERS).exists() else None


def counted(audit):
    """How many messages the audit says were refused, after holding each line to the rogue's name."""
    lines = [line for line in audit().splitlines() if f"[A:{ACTION}]" in line]
    assert all(f"[U:{ROGUE}]" in line for line in lines)
    return len(lines), int(lines[-1].split("refused, ")[1].split()[0]) if lines else 0
