"""`fedefm doctor` on a real kit, as a hospital's IT person runs it."""

import json
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from fedefm.cli import main
from fedefm.doctor import examine, machine
from fedefm.federation.place import provision
from fedefm.federation.sites import write_site_config
from fedefm.trust import fingerprint
from fedefm.trust.certificates import load_certificate


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return provision(tmp_path_factory.mktemp("provisioned")).kits


@pytest.fixture
def kit(kits: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "hospital-a"
    shutil.copytree(kits / "hospital-a", copy)
    (tmp_path / "data").mkdir()
    write_site_config(copy, tmp_path / "data")
    return copy


def findings(kit: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, list[dict]]]:
    code = main(["doctor", str(kit), "--offline", "--json", *more])
    plain = json.loads(capsys.readouterr().out)
    assert plain["ok"] == (code == 0)
    by_check: dict[str, list[dict]] = {}
    for one in plain["findings"]:
        by_check.setdefault(one["check"], []).append(one)
    return code, by_check


def test_a_fresh_kit_passes(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = findings(kit, capsys, "--root-fingerprint", fingerprint(kit / "startup" / "rootCA.pem"))
    assert code == 0, [one for many in found.values() for one in many if one["status"] == "FAIL"]
    assert {"Python", "packages", "disk", "memory", "kit", "certificate", "identity", "job guard"} <= set(found)


@pytest.mark.parametrize(
    ("name", "damage", "check"),
    [
        ("local/resources.json", lambda p: p.write_text(p.read_text() + " \n\n "), "kit"),
        ("local/privacy.json", Path.unlink, "privacy.json"),
        ("startup/client.key", lambda p: p.chmod(0o644), "private key"),
        ("startup/client.crt", Path.unlink, "certificate"),
        ("local/authorization.json", lambda p: p.chmod(0o666), "kit"),
    ],
)
def test_a_damaged_kit_fails_with_the_file_and_a_remedy(
    name: str, damage, check: str, kit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(kit / name)
    code, found = findings(kit, capsys)
    failed = [one for many in found.values() for one in many if one["status"] == "FAIL"]
    assert code == 1 and any(Path(name).name in one["text"] for one in failed)
    assert all(one["remedy"] for one in failed)


def test_without_an_argument_it_looks_at_the_current_folder(
    kit: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(kit)
    assert main(["doctor", "--offline"]) == 0
    assert "[PASS] identity: hospital-a" in capsys.readouterr().out
    (kit / "local" / "privacy.json").unlink()
    assert main(["doctor", "--offline"]) == 1


def test_another_fingerprint_than_the_printed_one_fails(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = findings(kit, capsys, "--root-fingerprint", ":".join(["00"] * 32))
    assert code == 1 and found["consortium"][0]["status"] == "FAIL"


def test_a_folder_that_is_no_kit_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = findings(tmp_path, capsys)
    assert code == 1 and str(tmp_path) in found["kit"][0]["text"]


def test_a_server_that_cannot_be_reached_fails(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(kit)]) == 1
    assert "[FAIL] " in capsys.readouterr().out


@pytest.mark.parametrize("name", ["cryptography", "packaging", "skimage"])
def test_a_package_that_cannot_be_imported_is_a_line_with_a_remedy(name: str, kit: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / f"{name}.py").write_text(f"raise ImportError('no {name}')\n")
    done = subprocess.run(
        [sys.executable, "-m", "fedefm.cli", "doctor", str(kit), "--offline", "--json"],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "broken")},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 1, done.stderr
    failed = [one for one in json.loads(done.stdout)["findings"] if one["status"] == "FAIL"]
    assert any(f"no {name}" in one["text"] and "constraints.txt" in one["remedy"] for one in failed)


def test_t10_29_days_before_its_end_a_provisioned_certificate_warns(kit: Path) -> None:
    end = load_certificate(kit / "startup" / "client.crt").not_valid_after_utc
    for days, status in ((31, "PASS"), (29, "WARN"), (-1, "FAIL")):
        found = examine(kit, offline=True, now=end - timedelta(days=days))
        (own,) = [one for one in found if one.check == "certificate" and "client.crt" in one.text]
        assert own.status == status
        assert own.remedy or status == "PASS"


def test_data_that_this_account_cannot_read_fails(kit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer of the system alone is set: root, as whom containers run tests, may read everything."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    (site,) = [one for one in examine(kit, offline=True) if one.check == "site"]
    assert site.status == "FAIL" and "account" in site.remedy


def test_a_kit_that_calls_itself_the_consortium_is_checked_as_a_kit(kit: Path, capsys) -> None:
    for name in ("state", "prod_00"):
        (kit / name).mkdir()
    (kit / "state" / "cert.json").write_text("{}")
    (kit / "local" / "authorization.json").unlink()
    code, found = findings(kit, capsys, "--root-fingerprint", "00:11")
    failed = {check for check, many in found.items() if any(one["status"] == "FAIL" for one in many)}
    assert code != 0 and {"kit", "consortium"} <= failed


def test_the_folder_of_the_provisioning_is_not_asked_for_a_fingerprint(authority: Path, capsys) -> None:
    code, found = findings(authority, capsys, "--root-fingerprint", "00:11")
    assert code != 0 and found["kit"][0]["status"] == "FAIL"


def test_a_provisioning_without_kits_fails(authority: Path, capsys) -> None:
    (authority / "prod_01").mkdir(mode=0o700)
    code, found = findings(authority, capsys)
    assert code != 0 and "holds no kit" in found["certificate"][0]["text"]


@pytest.fixture
def authority(kits: Path, tmp_path: Path) -> Path:
    shutil.copytree(kits.parent, tmp_path / "fedefm")
    return tmp_path / "fedefm"


def test_the_folder_of_the_provisioning_passes_with_a_line_for_each_certificate(authority: Path, capsys) -> None:
    code, found = findings(authority, capsys)
    assert code == 0
    texts = [one["text"] for one in found["certificate"]]
    assert len(texts) == 1 + len(list((authority / "prod_00").iterdir()))
    assert any(text.startswith("hospital-a: client.crt: 359 days left") for text in texts)


@pytest.mark.parametrize(
    ("name", "mode"),
    [("state/cert.json", 0o644), ("state", 0o750), ("prod_00/hospital-a/startup/client.key", 0o640)],
)
def test_t10_a_ca_key_or_a_kit_that_others_may_open_fails(name: str, mode: int, authority: Path, capsys) -> None:
    (authority / name).chmod(mode)
    code, found = findings(authority, capsys)
    (failed,) = [one for one in found["modes"] if one["status"] == "FAIL"]
    assert code == 1 and failed["text"].startswith(name) and "chmod" in failed["remedy"]


def test_t10_a_participants_certificate_that_ends_soon_warns_the_administrator(authority: Path) -> None:
    end = load_certificate(authority / "prod_00" / "hospital-b" / "startup" / "client.crt").not_valid_after_utc
    found = examine(authority, now=end - timedelta(days=29))
    warned = [one.text for one in found if one.check == "certificate" and one.status == "WARN"]
    assert any(text.startswith("hospital-b: ") for text in warned) and not any("rootCA" in text for text in warned)


def test_a_kit_is_verified_as_a_kit_whatever_else_lies_in_it(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["trust", "verify", str(kit), "--root", str(kit / "startup" / "rootCA.pem")]
    assert main(command) == 0
    for name in ("x.safetensors", "meta.json"):
        (kit / name).write_text("{}")
        assert main(command) != 0
        assert f"{name}: " in capsys.readouterr().err
        (kit / name).unlink()


def test_d7_a_files_name_stands_in_what_the_doctor_says_only_where_it_is_asked_for(
    kit: Path, consortium: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is wrong with the file; the lines are sent to whoever helps."""
    data = tmp_path / "hospital"
    shutil.copytree(consortium["east"], data)
    first, second, third, *_ = sorted(path.name for path in (data / "images").iterdir())
    for folder in ("images", "masks"):
        (data / folder / first).rename(data / folder / "NAME_First_1951.png")
        (data / folder / second).rename(data / folder / "NAME_Second_1952.png")
        (data / folder / third).rename(data / folder / "NAME_Third_1953.png")
    (data / "images" / "NAME_First_1951.png").write_bytes(b"no picture")
    (data / "masks" / "NAME_Second_1952.png").unlink()
    (data / "images" / "NAME_Third_1953.png").unlink()
    code, found = findings(kit, capsys, "--data", str(data))
    said = json.dumps(found)
    assert code == 1 and "NAME" not in said and "195" not in said
    assert {"a file cannot be used", "an image has no mask", "a mask has no image"} <= {
        one["text"] for one in found["data"]
    }
    _, found = findings(kit, capsys, "--data", str(data), "--show-names")
    assert all(name in json.dumps(found) for name in ("First_1951", "Second_1952", "Third_1953"))
    (data / "dataset.json").write_text('{"patients": {"NAME_First_1951": 3}}')
    code, found = findings(kit, capsys, "--data", str(data))
    assert code == 1 and "NAME" not in json.dumps(found["data"])


def test_a_package_of_a_package_that_is_missing_or_of_another_version_is_named(tmp_path: Path) -> None:
    """Three packages on a path of their own: what is needed is looked at down to the last, and through extras."""

    def lay(name: str, version: str, *needs: str) -> None:
        info = tmp_path / f"{name}-{version}.dist-info"
        info.mkdir()
        text = "".join(f"Requires-Dist: {need}\n" for need in needs)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{text}")

    lay("topmost", "1", "middle[speed]>=1", "absent-elsewhere; python_version < '3'")
    lay("middle", "1", "lowest>=3", "gone-for-good; extra == 'speed'", "never; extra == 'other'", "topmost")
    lay("lowest", "2")
    sys.path.insert(0, str(tmp_path))
    try:
        needs = list(machine.needed("topmost"))
        found = list(machine.package_faults(needs))
    finally:
        sys.path.remove(str(tmp_path))
    assert [one.text for one in found] == [
        "lowest 2 is not >=3, which middle needs",
        "gone-for-good is not installed, which middle needs",
    ]
    assert all("--no-index --find-links DIR --require-hashes" in one.remedy for one in found)
