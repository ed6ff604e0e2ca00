"""The pod of a site: against Kubernetes' own schema, for rights and keys, and with its first step really run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fedefm.cli import main
from fedefm.doctor.examine import examine
from fedefm.doctor.finding import FAIL
from fedefm.errors import ConfigError
from fedefm.federation.membership import pack
from fedefm.federation.place import provision
from fedefm.kits.kit import open_kit
from fedefm.kits.pods import pod
from fedefm.trust import MANIFEST_NAME
from fedefm.trust.kinds import WAITING_NAME
from fedefm.trust.ledger import JOBS, OUTBOX, Ledger

KEPT = ("fedefm-outbox.jsonl", "fedefm-outbox.jsonl.000001", "fedefm-jobs.jsonl", "fedefm-revoked.json", "audit.log")
IMAGE = "registry.example.org:5000/fedefm:0.1.0"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return provision(tmp_path_factory.mktemp("pods"))


def objects(kit, **more):
    _, text = pod(open_kit(kit), IMAGE, **more)
    assert "{~~" not in text
    return list(yaml.safe_load_all(text))


def of_kind(found, kind):
    (one,) = [one for one in found if one["kind"] == kind]
    return one


@pytest.fixture(params=["hospital-a", "localhost"])
def found(request, place):
    return objects(place.kit(request.param))


def test_kubernetes_own_schema_takes_each_object_and_refuses_a_spoilt_one(found):
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for one in found:
        validate.validate(one, "1.31", strict=True)
    spoilt = of_kind(found, "Deployment")
    spoilt["spec"]["template"]["spec"]["securityContext"]["runAsNonRoots"] = True
    with pytest.raises(validate.ValidationError):
        validate.validate(spoilt, "1.31", strict=True)


def test_a_pod_has_no_right_to_spare(found):
    assert {one["kind"] for one in found} <= {
        *("ConfigMap", "PersistentVolumeClaim", "Service", "NetworkPolicy", "Deployment")
    }  # no role, no account  # fmt: skip
    spec = of_kind(found, "Deployment")["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False and not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["runAsUser"] == 10001
    for container in [*spec["initContainers"], *spec["containers"]]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["image"] == IMAGE
    assert not [volume for volume in spec["volumes"] if "hostPath" in volume]


def test_every_mount_has_its_volume_every_volume_its_use_and_every_selector_its_pod(found):
    template = of_kind(found, "Deployment")["spec"]["template"]
    spec = template["spec"]
    mounts = {one["name"] for part in ("initContainers", "containers") for c in spec[part] for one in c["volumeMounts"]}
    assert mounts == {volume["name"] for volume in spec["volumes"]}
    labels = template["metadata"]["labels"]
    assert of_kind(found, "Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert of_kind(found, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels
    claims = {volume["persistentVolumeClaim"]["claimName"] for volume in spec["volumes"] if len(volume) and
              "persistentVolumeClaim" in volume}  # fmt: skip
    assert of_kind(found, "PersistentVolumeClaim")["metadata"]["name"] in claims


def test_no_file_of_a_kit_stands_in_it(place, found):
    text = json.dumps(found)
    for name in ("hospital-a", "localhost"):
        for path in (place.kit(name) / "startup").iterdir():
            assert path.read_text().splitlines()[1][:60] not in text, path
    assert "PRIVATE KEY" not in text and "CERTIFICATE" not in text


def test_nothing_comes_in_to_a_hospital_and_two_ports_to_the_server(place):
    hospital, server = objects(place.kit("hospital-a")), objects(place.kit("localhost"))
    assert of_kind(hospital, "NetworkPolicy")["spec"]["ingress"] == []
    assert not [one for one in hospital if one["kind"] == "Service"]
    ports = {one["port"] for one in of_kind(server, "Service")["spec"]["ports"]}
    (rule,) = of_kind(server, "NetworkPolicy")["spec"]["ingress"]
    assert ports == {one["port"] for one in rule["ports"]} == {place.fl_port, place.admin_port}
    mounts = of_kind(server, "Deployment")["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert str(place.root / "storage") in {one["mountPath"] for one in mounts}


def test_gpus_threads_and_data_are_the_hospitals(place):
    found = objects(place.kit("hospital-a"), gpus=2, threads=8, data="angio")
    spec = of_kind(found, "Deployment")["spec"]["template"]["spec"]
    (site,) = spec["containers"]
    assert site["resources"]["limits"]["nvidia.com/gpu"] == 2 and site["resources"]["requests"]["cpu"] == "8"
    own = json.loads(of_kind(found, "ConfigMap")["data"]["fedefm_site.json"])
    assert own == {"data": "/data", "cache": "/site/cache", "device": "cuda", "threads": 8}
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "angio", "readOnly": True}} in spec["volumes"]


def first_step(found, folder, secret, own):
    """Run the command of the pod's first container, as this machine's user and in other folders."""
    (kit,) = of_kind(found, "Deployment")["spec"]["template"]["spec"]["initContainers"]
    places = {"SITE": str(folder), "SECRET": str(secret), "OWN": str(own)}
    assert {one["name"] for one in kit["env"]} <= set(places)
    subprocess.run([*kit["command"], *kit["args"]], env=os.environ | places, check=True, capture_output=True)


def test_its_first_step_lays_a_kit_that_the_doctor_passes_and_keeps_it(place, tmp_path):
    kit, found = place.kit("hospital-a"), objects(place.kit("hospital-a"))
    for name in ("site", "secret", "own", "data"):
        (tmp_path / name).mkdir()
    pack(kit, tmp_path / "secret").rename(tmp_path / "secret" / "kit.zip")
    own = json.loads(of_kind(found, "ConfigMap")["data"]["fedefm_site.json"]) | {"data": str(tmp_path / "data")}
    (tmp_path / "own" / "fedefm_site.json").write_text(json.dumps(own))
    first_step(found, tmp_path / "site", tmp_path / "secret", tmp_path / "own")
    laid = tmp_path / "site" / "kit"
    assert [one.text for one in examine(laid, offline=True) if one.status == FAIL] == []
    assert os.access(laid / "startup" / "start.sh", os.X_OK)
    (laid / "fedefm-jobs.jsonl").write_text("")
    (tmp_path / "secret" / "kit.zip").unlink()  # as after a restart, with the secret gone
    (tmp_path / "own" / "fedefm_site.json").write_text(json.dumps(own | {"threads": 2}))
    first_step(found, tmp_path / "site", tmp_path / "secret", tmp_path / "own")
    assert (laid / "fedefm-jobs.jsonl").exists() and "2}" in (laid / "local" / "fedefm_site.json").read_text()


def test_a_renewed_kit_takes_the_place_of_the_old_one_and_keeps_its_ledgers(place, tmp_path):
    found = objects(place.kit("hospital-a"))
    for name in ("site", "secret", "own"):
        (tmp_path / name).mkdir()
    (tmp_path / "own" / "fedefm_site.json").write_text("{}")
    shutil.copytree(place.kit("hospital-a"), tmp_path / "renewed" / "hospital-a")
    for kit, note in ((place.kit("hospital-a"), "first"), (tmp_path / "renewed" / "hospital-a", "second")):
        (kit / "readme.txt").write_text(note)
        pack(kit, tmp_path / "secret").rename(tmp_path / "secret" / "kit.zip")
        first_step(found, tmp_path / "site", tmp_path / "secret", tmp_path / "own")
        laid = tmp_path / "site" / "kit"
        assert (laid / "readme.txt").read_text() == note and not (tmp_path / "site" / "new").exists()
        for name in KEPT:
            assert note == "first" or (laid / name).read_text() == name
            (laid / name).write_text(name)
    (tmp_path / "site" / "kit").rename(tmp_path / "site" / "old2")  # broken off after the old one was put aside
    shutil.rmtree(tmp_path / "site" / "old")
    (tmp_path / "site" / "old2").rename(tmp_path / "site" / "old")
    (tmp_path / "site" / "kit.sha256").unlink()
    first_step(found, tmp_path / "site", tmp_path / "secret", tmp_path / "own")
    assert all((tmp_path / "site" / "kit" / name).read_text() == name for name in KEPT)


def test_a_renewed_kit_goes_on_with_real_ledgers_and_with_the_jobs_that_wait(place, tmp_path):
    kit, found = tmp_path / "hospital-a", objects(place.kit("hospital-a"))
    for name in ("site", "secret", "own"):
        (tmp_path / name).mkdir()
    (tmp_path / "own" / "fedefm_site.json").write_text("{}")
    shutil.copytree(place.kit("hospital-a"), kit)
    laid = tmp_path / "site" / "kit"
    for number, note in enumerate(("first", "second", "third")):
        (kit / "readme.txt").write_text(note)
        pack(kit, tmp_path / "secret").rename(tmp_path / "secret" / "kit.zip")
        first_step(found, tmp_path / "site", tmp_path / "secret", tmp_path / "own")
        for name in (JOBS, OUTBOX):
            ledger = Ledger(laid, name, close_at=200)  # closed files too
            assert len(ledger.read()) == 3 * number
            for _ in range(3):
                ledger.append("ran", job=note)
            assert len(ledger.read()) == 3 * number + 3
        assert number == 0 or (laid / WAITING_NAME / "job" / "meta.json").is_file()
        (laid / WAITING_NAME / "job").mkdir(parents=True, exist_ok=True)
        (laid / WAITING_NAME / "job" / "meta.json").write_text("{}")


def test_a_hospital_that_made_its_own_key_hands_it_over_with_the_secret(place, tmp_path):
    kit, found = place.kit("hospital-b"), objects(place.kit("hospital-b"))
    for name in ("site", "secret", "own"):
        (tmp_path / name).mkdir()
    key = kit / "startup" / "client.key"
    key.rename(tmp_path / "secret" / "client.key")
    try:
        pack(kit, tmp_path / "secret").rename(tmp_path / "secret" / "kit.zip")
    finally:
        (tmp_path / "secret" / "client.key").rename(key)
    (tmp_path / "secret" / "client.key").write_bytes(key.read_bytes())
    (tmp_path / "own" / "fedefm_site.json").write_text("{}")
    first_step(found, tmp_path / "site", tmp_path / "secret", tmp_path / "own")
    laid = tmp_path / "site" / "kit" / "startup" / "client.key"
    assert laid.read_bytes() == key.read_bytes() and laid.stat().st_mode & 0o077 == 0


def test_the_command_says_what_to_type(place, tmp_path, capsys):
    words = ["service", str(place.kit("hospital-a")), "--kubernetes", IMAGE, "--out", str(tmp_path / "pods")]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "folder": str(tmp_path / "pods"), "files": ["fedefm-hospital-a.yaml"], "secret": "fedefm-hospital-a-kit"
    }  # fmt: skip
    assert main(words) == 2  # never over what is there


def test_names_that_kubernetes_or_yaml_would_misread_are_refused(place, tmp_path):
    kit = open_kit(place.kit("hospital-a"))
    for image in ("", "a b", "x\ny: z", "{a}", "-x", "a" * 400):
        with pytest.raises(ConfigError, match="no name of an image"):
            pod(kit, image)
    for data in ("a b", "a\nb", "-a", "A/b"):
        with pytest.raises(ConfigError, match="Kubernetes takes names"):
            pod(kit, IMAGE, data=data)
    with pytest.raises(ConfigError, match="nothing runs from a person's kit"):
        pod(open_kit(place.kit(place.people["lead"])), IMAGE)


def test_a_kit_that_went_through_flares_own_way_is_refused_before_it_starts(place, tmp_path):
    """`nvflare deploy prepare` takes the check at the start and our launcher out; what is left does not verify."""
    (tmp_path / "k8s.yaml").write_text("runtime: k8s\nparent: {docker_image: 'fedefm:0.1.0'}\n")
    words = ["deploy", "prepare", str(place.kit("hospital-a")), "--output", str(tmp_path / "prepared")]
    done = subprocess.run(
        ["python3", "-m", "nvflare.cli", *words, "--config", str(tmp_path / "k8s.yaml")],
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    prepared = tmp_path / "prepared"
    assert not (prepared / "startup" / "start.sh").exists() and (prepared / MANIFEST_NAME).is_file()
    failed = {one.check: one.remedy for one in examine(prepared, offline=True) if one.status == FAIL}
    assert "kit" in failed and "policy" in failed
