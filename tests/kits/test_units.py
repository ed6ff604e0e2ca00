"""Units and the logrotate rule of a kit: read by systemd's and logrotate's own checkers, where these are installed."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from fedefm.cli import main
from fedefm.errors import ConfigError
from fedefm.kits.kit import Kit, open_kit
from fedefm.kits.units import Account, units
from support.consortium_certificates import Authority
from support.kits import write_kit, write_server_kit


@pytest.fixture(scope="module")
def consortium() -> Authority:
    return Authority()


@pytest.fixture
def kit(consortium: Authority, tmp_path: Path) -> Kit:
    """With a script to start, as every kit has, in a folder whose name systemd must not misread."""
    made = write_kit(tmp_path / "100%i", consortium, consortium.issue("hospital-a"))
    start = made.startup / "start.sh"
    start.write_text("#!/bin/sh\n")
    start.chmod(0o700)
    made.local.mkdir()
    return made


def lines(text: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


def made_of(kit: Kit, *writable: Path, user: str = "nobody") -> dict[str, str]:
    return units(kit, Account(user, "nogroup", Path("/usr/bin")), writable)


def test_each_file_has_the_kits_own_name_and_account(kit: Kit) -> None:
    made = made_of(kit)
    assert sorted(made) == [
        "fedefm-hospital-a-doctor.service",
        "fedefm-hospital-a-doctor.timer",
        "fedefm-hospital-a.logrotate",
        "fedefm-hospital-a.service",
    ]
    assert not [name for name, text in made.items() if "{~~" in text]
    assert lines(made["fedefm-hospital-a.service"], "User") == ["nobody"]
    assert lines(made["fedefm-hospital-a-doctor.service"], "User") == ["nobody"]


def test_it_starts_after_a_reboot_and_again_after_every_end(kit: Kit) -> None:
    service = made_of(kit)["fedefm-hospital-a.service"]
    assert lines(service, "WantedBy") == ["multi-user.target"] and lines(service, "Restart") == ["always"]
    assert lines(service, "ExecStart")[0].endswith('/startup/start.sh" --once')


def test_only_the_kit_and_what_is_named_can_be_written(kit: Kit, tmp_path: Path) -> None:
    service = made_of(kit, tmp_path / "cache")["fedefm-hospital-a.service"]
    folder = str(kit.folder).replace("%", "%%")
    assert lines(service, "ReadWritePaths") == [f'"{folder}" "{tmp_path}/cache"']
    assert lines(service, "ProtectSystem") == ["strict"] and lines(service, "CapabilityBoundingSet") == [""]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_no_fault(kit: Kit, tmp_path: Path) -> None:
    def verdict(made: dict[str, str]) -> str:
        folder = tmp_path / "units"
        folder.mkdir(exist_ok=True)
        for name, text in made.items():
            (folder / name).write_text(text)
        named = [str(folder / name) for name in made if not name.endswith(".logrotate")]
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", *named], capture_output=True, text=True)
        return "\n".join(line for line in done.stderr.splitlines() if "fedefm" in line)

    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "fedefm").write_text("#!/bin/sh\n")
    (bin_folder / "fedefm").chmod(0o755)
    made = units(kit, Account("daemon", "daemon", bin_folder), [])
    assert verdict(made) == ""
    spoilt = {name: text.replace("Restart=always", "Restart=perhaps") for name, text in made.items()}
    assert "perhaps" in verdict(spoilt)


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="logrotate is not installed")
def test_logrotate_takes_the_audit_log_out_of_the_kit_and_keeps_its_place(kit: Kit, tmp_path: Path) -> None:
    rule = tmp_path / "rule"
    rule.write_text(
        units(kit, Account(kit.folder.owner(), kit.folder.group(), Path("/usr/bin")), [])["fedefm-hospital-a.logrotate"]
    )
    rule.chmod(0o644)
    audit = kit.folder / "audit.log"
    with audit.open("a") as log:  # as FLARE keeps it open
        log.write("first\n")
        log.flush()
        done = subprocess.run(
            ["logrotate", "--force", "--state", str(tmp_path / "state"), str(rule)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        log.write("second\n")
    assert audit.read_text() == "second\n"
    (old,) = (kit.folder.parent / f"{kit.folder.name}-audit").iterdir()
    assert old.name.startswith("audit.log-")
    assert [path.name for path in kit.folder.iterdir() if path.is_file()] == ["audit.log"]


def test_a_persons_kit_and_an_odd_path_are_refused(kit: Kit, consortium: Authority, tmp_path: Path) -> None:
    startup = tmp_path / "lead" / "startup"
    startup.mkdir(parents=True)
    plain = {"admin": {"username": "lead@x.test", "host": "localhost", "port": 1}}
    (startup / "fed_admin.json").write_text(json.dumps(plain))
    with pytest.raises(ConfigError, match="nothing runs from a person's kit"):
        made_of(open_kit(tmp_path / "lead"))
    for odd in ('a"b', "a b", "a\nb", "a$b", "a*"):
        with pytest.raises(ConfigError, match="cannot be told this path"):
            made_of(kit, tmp_path / odd)


def test_the_command_knows_what_a_hospital_and_the_server_write(
    kit: Kit, consortium: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["service", str(kit.folder), "--out", str(tmp_path / "none")]) == 2
    assert "fedefm_site.json: no such file" in capsys.readouterr().err
    (kit.local / "fedefm_site.json").write_text(json.dumps({"data": "/data", "cache": "/prepared"}))
    assert main(["service", str(kit.folder), "--out", str(tmp_path / "hospital")]) == 0
    service = (tmp_path / "hospital" / "fedefm-hospital-a.service").read_text()
    assert lines(service, "ReadWritePaths")[0].endswith(' "/prepared"') and "/data" not in service
    server = write_server_kit(tmp_path / "server", consortium, consortium.issue("localhost"))
    server.local.mkdir()
    storage = {"storage": {"args": {"root_dir": "/var/lib/fedefm/snapshots"}}}
    (server.local / "resources.json").write_text(json.dumps({"snapshot_persistor": {"args": storage}}))
    own = {"models": "/srv/models", "rounds": "/var/lib/fedefm/rounds"}
    (server.local / "fedefm_server.json").write_text(json.dumps(own))
    assert main(["service", str(server.folder), "--out", str(tmp_path / "units"), "--json"]) == 0
    service = (tmp_path / "units" / "fedefm-localhost.service").read_text()
    assert lines(service, "ReadWritePaths") == [f'"{server.folder}" "/srv/models" "/var/lib/fedefm"']
    assert main(["service", str(server.folder), "--out", str(tmp_path / "units")]) == 2
