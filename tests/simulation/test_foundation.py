import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace

import psutil
import pytest

from fedefm.data.synth.consortium import default_sites, write_consortium
from fedefm.data.synth.looks import CLASSES
from fedefm.errors import ConfigError, FedefmError, QuorumError
from fedefm.exchange.events import StageEnded, StageStarted, TaskDone, TaskLost
from fedefm.exchange.messages import Stage
from fedefm.exchange.schedule import Schedule
from fedefm.flare.job_folder import write_job
from fedefm.flare.progress import failed_line, finished_line, to_line
from fedefm.foundation.run import run_in_process
from fedefm.foundation.settings import Settings
from fedefm.models.checkpoint import load_weights
from fedefm.models.spec import ModelSpec
from fedefm.simulation import process as module
from fedefm.simulation.foundation import collect, simulate
from fedefm.simulation.process import Follower, kill_tree, run_command
from fedefm.simulation.workspace import check_out, check_site_names
from support.log_lines import logged

FROZEN_AFTER = 30  # seconds of silence after which these tests give a hospital up


def small(**schedule):
    plan = Schedule(
        **{"rounds": 1, "local_steps": 2, "overseas_steps": 1, "distil_steps": 1, "min_sites": 2, **schedule}
    )
    return Settings(
        classes=tuple(CLASSES),
        size=32,
        model=ModelSpec("Unet", "tu-test_resnet"),
        schedule=plan,
        stage_timeout=FROZEN_AFTER,
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("sites")
    return {path.name: path for path in write_consortium(root, sites=default_sites(4), frames_per_site=10, size=64)}


def some(folders, count):
    return dict(sorted(folders.items())[:count])


def worker(site):
    """The process of a hospital in a simulator that this process has started."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.ZombieProcess, psutil.NoSuchProcess):  # another hospital's may have ended meanwhile
            command = process.cmdline()
            if "--client" in command and command[command.index("--client") + 1] == site:
                return process
    raise AssertionError(f"no process of {site}")


@pytest.fixture
def no_process_left():
    """Whatever a test starts is gone at its end; what ran before it (Python's resource tracker) does not count."""
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    yield
    deadline = time.monotonic() + 5
    while left := [p for p in psutil.Process().children(recursive=True) if p.pid not in before and not gone(p.pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


@pytest.mark.simulator
@pytest.mark.usefixtures("no_process_left")
@pytest.mark.parametrize(("wire", "groups"), [("float32", 1), pytest.param("float16", 2, marks=pytest.mark.slow)])
def test_the_simulator_gives_the_same_theta_as_one_process(tmp_path, wire, groups):
    """Three that annotate all classes: every stage has work, assess too. Both move the least that is possible."""
    paths = write_consortium(tmp_path / "in", sites=default_sites(3), frames_per_site=10, size=64, unseen=0.0)
    sites, events = {path.name: path for path in paths}, []
    job = replace(small(groups=groups), wire=wire)
    record = simulate(job, sites, tmp_path / "out", on_event=events.append)
    run = run_in_process(job, sites)

    theta = load_weights(tmp_path / "out" / record["theta"]["path"])
    assert theta.sha256 == record["theta"]["sha256"]
    assert all((theta.weights[name] == value).all() for name, value in run.state.theta.items())
    assert json.loads((tmp_path / "out" / "record.json").read_text()) == record
    timeless = {"seconds"}
    assert {k: record[k] for k in run.figures if k not in timeless} == json.loads(
        json.dumps({k: v for k, v in run.figures.items() if k not in timeless})
    )
    size = sum(value.nbytes for value in theta.weights.values()) // (2 if wire == "float16" else 1)
    assert record["bytes"]["evaluate"] == 3 * size  # Theta alone is new to them
    assert record["bytes"] == record["least_bytes"]
    assert set(record["models"]) == set(sites)
    for entry in record["models"].values():
        assert load_weights(tmp_path / "out" / entry["path"]).sha256 == entry["sha256"]
    assert {e.task.stage for e in events if isinstance(e, TaskDone)} == {
        Stage.PREPARE,
        Stage.LOCAL,
        Stage.OVERSEAS,
        Stage.DISTIL,
        Stage.ASSESS,
        Stage.EVALUATE,
    }
    assert {p.name for p in (tmp_path / "out" / "tb_events").iterdir()} == set(sites)
    assert not (tmp_path / "out" / "simulator").exists()


@pytest.mark.slow
@pytest.mark.simulator
@pytest.mark.usefixtures("no_process_left")
def test_a_killed_and_a_frozen_hospital_are_named_and_routed_around(folders, tmp_path):
    first, second, killed, frozen = sorted(folders)

    struck, noticed = [], []

    def strike(event):
        if isinstance(event, StageStarted) and event.stage is Stage.OVERSEAS and not struck:
            struck.append(time.monotonic())
            worker(killed).kill()
            worker(frozen).send_signal(signal.SIGSTOP)
        elif isinstance(event, TaskLost) and event.lost.site == killed:
            noticed.append(time.monotonic())

    record = simulate(small(max_misses=1), folders, tmp_path / "out", on_event=strike)

    pairs = {(host, visitor) for host in (killed, frozen) for visitor in folders if visitor != host}
    lost = {(x["site"], x["visitor"]) for x in record["lost"]}
    assert {site for site, _ in lost} == {killed, frozen}
    assert lost <= pairs  # a visit may have come back before the blow
    assert {(x["site"], x["reason"]) for x in record["lost"]} == {
        (killed, "its job process died"),
        (frozen, f"no answer for {FROZEN_AFTER} s"),
    }
    assert noticed[0] - struck[0] < FROZEN_AFTER / 2
    assert {(x["site"], x["standing"]) for x in record["standings"]} >= {(killed, "away"), (frozen, "away")}
    assert set(record["history"][0]["loss"]["distil"]) == {first, second}
    assert load_weights(tmp_path / "out" / "theta.safetensors").sha256 == record["theta"]["sha256"]


@pytest.mark.simulator
@pytest.mark.usefixtures("no_process_left")
def test_a_killed_server_ends_the_run_at_once_in_one_line(folders, tmp_path):
    sites, struck = some(folders, 2), []

    def strike(event):
        if isinstance(event, StageStarted) and event.stage is Stage.LOCAL:
            worker(min(sites)).parent().kill()  # the server's process, below which the hospitals' run
            struck.append(time.monotonic())

    with pytest.raises(FedefmError, match=r"server process was killed.*simulator\.log") as caught:
        simulate(small(), sites, tmp_path / "out", on_event=strike)
    assert time.monotonic() - struck[0] < 20
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "out").rglob("theta.safetensors"))


@pytest.mark.slow
@pytest.mark.simulator
@pytest.mark.usefixtures("no_process_left")
def test_a_host_that_stands_still_during_visits_only_goes_on_with_its_own_turn(folders, tmp_path):
    """Stopped as a stage of visits begins, going on as it ends: it is waited for once, and then not visited."""
    sites = some(folders, 3)
    stalls, visits = max(sites), (Stage.OVERSEAS, Stage.ASSESS)

    def strike(event):
        if isinstance(event, StageStarted) and event.stage in visits:
            worker(stalls).send_signal(signal.SIGSTOP)
        elif isinstance(event, StageEnded) and event.stage in visits:
            worker(stalls).send_signal(signal.SIGCONT)

    record = simulate(
        small(rounds=3, max_misses=2, order="parallel", reputation_limit=0.0), sites, tmp_path / "out", on_event=strike
    )
    assert [(x["site"], x["standing"]) for x in record["standings"]] == [(stalls, "benched")]
    silent = {(x["round"], x["stage"]) for x in record["lost"] if x["site"] == stalls}
    assert len(silent) == 2 and {stage for _, stage in silent} <= set(visits)
    assert all(stalls in entry["loss"]["distil"] for entry in record["history"])


@pytest.mark.simulator
@pytest.mark.usefixtures("no_process_left")
def test_too_few_hospitals_publish_nothing_and_a_sites_paths_stay_at_the_site(folders, tmp_path):
    broken = tmp_path / "patient-4711"
    broken.mkdir()
    (broken / "dataset.json").write_text("{")
    events, out = [], tmp_path / "out"
    with pytest.raises(QuorumError, match=r"1 hospitals took part, at least 2 must.*simulator\.log"):
        simulate(small(), {**some(folders, 1), "broken": broken}, out, on_event=events.append)
    assert not list(out.rglob("*.safetensors"))
    assert not list(out.rglob("record.json"))
    lost = [e.lost for e in events if isinstance(e, TaskLost)]
    assert [(x.site, x.stage, x.reason.split(":")[0]) for x in lost] == [("broken", Stage.PREPARE, "DataError")]
    lines = (out / "simulator.log").read_text().splitlines()
    assert [x for x in lines if "DataError: images or masks" in x and "identity=broken" in x]
    assert not [x for x in lines if "4711" in x]


@pytest.mark.simulator
@pytest.mark.usefixtures("no_process_left")
def test_a_class_off_the_allow_list_ends_the_job(folders, tmp_path):
    job = tmp_path / "job"
    write_job(job, small())
    path = job / "app" / "config" / "config_fed_server.json"
    config = json.loads(path.read_text())
    config["components"].append({"id": "other", "path": "nvflare.app_common.np.np_trainer.NPTrainer"})
    path.write_text(json.dumps(config))
    with pytest.raises(FedefmError, match="without a result"):
        simulate(small(), some(folders, 2), tmp_path / "out", job=job)
    assert "is not in allow_list" in (tmp_path / "out" / "simulator.log").read_text()


@pytest.mark.parametrize("name", ["", "a b", "a,b", "-a", "a.b", "server", "Server", "x" * 64, "ä"])
def test_names_that_flare_cannot_carry_are_refused(name, tmp_path):
    with pytest.raises(ConfigError, match="site name"):
        check_site_names({name: tmp_path})


def test_missing_folders_no_sites_and_twins_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no hospital"):
        check_site_names({})
    with pytest.raises(ConfigError, match="no such folder"):
        check_site_names({"a": tmp_path / "none"})
    with pytest.raises(ConfigError, match="case only"):
        check_site_names({"a": tmp_path, "A": tmp_path})
    check_site_names({"north-1": tmp_path, "South_2": tmp_path})


@pytest.mark.parametrize("name", ["theta.safetensors", "record.json", "models"])
def test_a_folder_with_a_run_in_it_is_not_overwritten(name, tmp_path):
    check_out(tmp_path)
    (tmp_path / name).touch()
    with pytest.raises(ConfigError, match="already holds a run"):
        check_out(tmp_path)


def test_the_output_is_followed_through_foreign_lines():
    events = []
    follower = Follower(events.append)
    event = StageStarted(0, 1, Stage.LOCAL, 2)
    for line in ["noise\n", logged(to_line(event)), "Server runner finished.\n"]:
        follower(line)
    assert (events, follower.over, follower.closed) == ([event], False, False)
    follower(logged(finished_line("/out")))
    follower("12:01 Server runner finished.\n")
    assert (follower.over, follower.closed, follower.failure) == (True, True, None)


def test_a_failure_keeps_its_kind_and_names_the_log(tmp_path):
    follower = Follower(lambda event: None)
    follower(logged(failed_line("QuorumError", "too few"), level="ERROR"))
    with pytest.raises(QuorumError, match=r"too few; see .*simulator\.log"):
        collect(tmp_path, tmp_path / "out", follower, 0)


@pytest.mark.parametrize("code", [0, 1])
def test_an_end_without_a_result_is_a_failure_whatever_the_exit_code(tmp_path, code):
    with pytest.raises(FedefmError, match="without a result"):
        collect(tmp_path, tmp_path / "out", Follower(lambda event: None), code)


def test_a_record_without_its_theta_is_a_failure(tmp_path):
    (tmp_path / "record.json").write_text('{"theta": {"path": "theta.safetensors", "sha256": "0"}}')
    with pytest.raises(FedefmError, match="without a result"):
        collect(tmp_path, tmp_path / "out", Follower(lambda event: None), 0)
    assert not (tmp_path / "out").exists()


CHILD_IN_ITS_OWN_SESSION = (
    "import subprocess, sys, time; "
    "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True); "
    "print(p.pid, flush=True); time.sleep(60)"
)


def test_no_process_is_left_though_it_has_a_session_of_its_own_and_is_stopped():
    parent = subprocess.Popen([sys.executable, "-c", CHILD_IN_ITS_OWN_SESSION], stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(parent.stdout.readline()))
    os.kill(child.pid, signal.SIGSTOP)
    kill_tree(parent)
    deadline = time.monotonic() + 5
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    kill_tree(parent)  # twice does no harm
    parent.stdout.close()


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Interrupted(Follower):
    def __call__(self, line):
        self.pid = int(line)
        raise KeyboardInterrupt


def test_an_interrupt_leaves_no_process(tmp_path):
    follower = Interrupted(lambda event: None)
    with pytest.raises(KeyboardInterrupt):
        run_command([sys.executable, "-c", CHILD_IN_ITS_OWN_SESSION], dict(os.environ), tmp_path / "log", follower)
    deadline = time.monotonic() + 5
    while not gone(follower.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert gone(follower.pid)


@pytest.mark.parametrize("end", ["Server runner finished.", "waiting for a frozen hospital"])
def test_a_simulator_that_does_not_end_after_its_job_is_ended(tmp_path, monkeypatch, end):
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.5)
    script = f"import time; print({logged(finished_line('/out'))!r}); print({end!r}, flush=True); time.sleep(60)"
    begin = time.monotonic()
    follower = Follower(lambda event: None)
    run_command([sys.executable, "-c", script], dict(os.environ), tmp_path / "log", follower)
    assert follower.over
    assert time.monotonic() - begin < 30
    assert end in (tmp_path / "log").read_text()


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os._exit(256 - 9)"], ids=["itself", "its server"])
def test_a_simulator_that_is_killed_is_told_as_such_however_soon_it_is_gone(tmp_path, end):
    follower = Follower(lambda event: None)
    code = run_command([sys.executable, "-c", f"import os; {end}"], dict(os.environ), tmp_path / "log", follower)
    assert code in (-9, 247) and follower.orphaned
    with pytest.raises(FedefmError, match=r"server process was killed.*simulator\.log"):
        collect(tmp_path, tmp_path / "out", follower, code)
