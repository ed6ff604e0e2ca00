"""Jobs that a hospital must not run, submitted by the lead in person to provisioned hospitals."""

import json

import pytest

from fedefm.errors import FedefmError
from fedefm.federation.console import Console
from fedefm.federation.rehearsal import COMPLETED, JOB, signed_job, small_settings
from fedefm.federation.sites import running
from fedefm.simulate import write_job
from fedefm.trust import MANIFEST_NAME, SIGNATURE_NAME, sign_job

pytestmark = [pytest.mark.federation, pytest.mark.timeout(300)]

FOREIGN = "nvflare.app_common.np.np_trainer.NPTrainer"


@pytest.fixture(scope="module")
def consortium(place, folders):
    with running(place, folders):
        yield place


def lead_of(place):
    return Console(place.kit(place.people["lead"]))


def sign(job, place, name):
    startup = place.kit(name) / "startup"
    sign_job(job, startup / "client.crt", startup / "client.key")


def written(folder):
    write_job(folder / JOB, small_settings())
    return folder / JOB


def unsigned(place, folder):
    return written(folder)


def by_a_hospital(place, folder):
    job = written(folder)
    sign(job, place, "hospital-a")
    return job


def by_a_member(place, folder):
    job = written(folder)
    sign(job, place, place.people["member"])
    return job


def altered(place, folder):
    job = signed_job(folder, small_settings(), place)
    path = job / "app" / "config" / "foundation.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 7'))
    return job


def with_a_file_more(place, folder):
    job = signed_job(folder, small_settings(), place)
    (job / "app" / "config" / "more.json").write_text("{}")
    return job


def with_the_manifest_of_another(place, folder):
    other = signed_job(folder / "other", small_settings(3), place)
    job = written(folder)
    for name in (MANIFEST_NAME, SIGNATURE_NAME):
        (job / "app" / name).write_bytes((other / "app" / name).read_bytes())
    return job


def outcome(place, job):
    """Why a job was refused at submission, or its id and how it ended."""
    lead = lead_of(place)
    try:
        job_id = lead.submit(job)
    except FedefmError as error:
        return None, str(error)
    return job_id, lead.watch(job_id, lambda: None, 120.0)


def launched(place, job_id):
    """The hospitals that started a process for a job."""
    found = []
    for name in place.hospitals:
        ledger = place.kit(name) / "fedefm-jobs.jsonl"
        lines = [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []
        found += [name for line in lines if line["event"] == "launched" and line["job_id"] == job_id]
    return found


@pytest.mark.parametrize(
    "make", [unsigned, by_a_hospital, by_a_member, altered, with_a_file_more, with_the_manifest_of_another]
)
def test_what_no_lead_signed_starts_at_no_hospital(consortium, tmp_path, make):
    job_id, end = outcome(consortium, make(consortium, tmp_path))
    assert job_id, end
    assert end != COMPLETED
    assert launched(consortium, job_id) == []
    for name in consortium.hospitals:
        assert not (consortium.kit(name) / job_id / "log.txt").exists()
        assert "refused by fedefm" in (consortium.kit(name) / "log.txt").read_text()


def test_a_job_with_code_in_it_starts_at_no_hospital_though_a_lead_signed_it(consortium, tmp_path):
    job = written(tmp_path)
    (job / "app" / "custom").mkdir()
    (job / "app" / "custom" / "evil.py").write_text("print('here')\n")
    sign(job, consortium, consortium.people["lead"])
    job_id, end = outcome(consortium, job)
    assert "BYOC" in end or end != COMPLETED
    if job_id:
        assert launched(consortium, job_id) == []


def test_a_class_off_the_list_is_built_at_no_hospital_though_a_lead_signed_it(consortium, tmp_path):
    job = written(tmp_path)
    path = job / "app" / "config" / "config_fed_client.json"
    plain = json.loads(path.read_text())
    plain["executors"][0]["executor"]["path"] = FOREIGN
    path.write_text(json.dumps(plain))
    sign(job, consortium, consortium.people["lead"])
    job_id, end = outcome(consortium, job)
    assert job_id, end
    assert end != COMPLETED
    paths = [consortium.kit(name) / job_id / "log.txt" for name in launched(consortium, job_id)]
    logs = [path.read_text() for path in paths if path.exists()]
    assert any("ComponentNotAuthorized" in log for log in logs)  # secure logging keeps the message itself back
    assert not any("NPTrainer: " in log for log in logs)  # who is slower is stopped as soon as the first has refused
