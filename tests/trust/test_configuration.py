"""A job is configuration: what FLARE would import, or read for a site's own file, is refused by signer and receiver."""

import json
from pathlib import Path

import pytest

from fedefm.errors import TrustError
from fedefm.trust import sign_job, verify_app, verify_job
from fedefm.trust.configuration import check_configuration
from support.consortium_certificates import Authority, write_job
from support.unchecked_jobs import sign_unchecked


@pytest.mark.parametrize(
    "path",
    [
        *("config/comm_config.json", "config/COMM_CONFIG.JSON", "comm_config.yml", "config/comm_config.json.default"),
        *("resources.json", "config/fed_client.json", "config/fed_server.conf", "rootCA.pem", "log_config.json"),
        *("config/a.py", "config/a.PY", "x/a.so", "a.pth"),
    ],
)
def test_code_and_a_sites_own_files_are_refused(path: str) -> None:
    with pytest.raises(TrustError, match="sign the job again"):
        check_configuration(["config/foundation.json", path])


def test_our_own_jobs_pass() -> None:
    jobs = Path(__file__).parents[2] / "jobs"
    files = [path.relative_to(jobs).as_posix() for path in jobs.rglob("*") if path.is_file()]
    assert len(files) > 15
    check_configuration(files)


def test_neither_is_such_a_job_signed_nor_accepted_from_a_signer_who_did(tmp_path: Path) -> None:
    consortium = Authority()
    lead, job = consortium.issue("lead@consortium.test", "lead"), write_job(tmp_path / "job")
    (job / "app/config/comm_config.json").write_text(json.dumps({"comm_driver_path": "."}))
    with pytest.raises(TrustError, match=r"comm_config\.json: the name of a file of the site's own"):
        sign_job(job, lead.certificate, lead.key)
    assert not (job / "app/fedefm-manifest.json").exists()
    meta = json.loads((job / "meta.json").read_text())
    sign_unchecked(job, lead.certificate, lead.key)
    with pytest.raises(TrustError, match=r"comm_config\.json"):
        verify_job(job, consortium.root.certificate)
    with pytest.raises(TrustError, match=r"comm_config\.json"):
        got = meta | {"submitter_role": "lead", "job_id": "x"}
        verify_app(job / "app", consortium.root.certificate, got, app_name="app", site="hospital-a")
