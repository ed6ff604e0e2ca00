"""What FLARE does with a file of a job that bears the name of its own, and that the server takes no such job."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import Job, JobMetaKey

from fedefm.errors import TrustError
from fedefm.flare.submitted_jobs import SubmittedJobs, check_uploaded

LOAD = """
import sys
from nvflare.fuel.utils.config_service import ConfigService
ConfigService.initialize(section_files={}, config_path=[sys.argv[1]])
from nvflare.fuel.f3.communicator import load_comm_drivers
load_comm_drivers()
"""


def test_why_flare_imports_the_python_files_of_a_job_that_brings_its_comm_config(tmp_path: Path) -> None:
    """As each process of a site does when it opens its end point; where this fails, FLARE has mended it."""
    for name in ("startup", "local"):
        (tmp_path / name).mkdir()
    app = tmp_path / "11111111-2222-3333-4444-555555555555" / "app" / "config"
    app.mkdir(parents=True)
    (app / "comm_config.json").write_text(json.dumps({"comm_driver_path": "."}))
    (app / "harmless.py").write_text("open('imported', 'w')\n")
    subprocess.run([sys.executable, "-c", LOAD, str(tmp_path)], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "imported").is_file()


ODD = ("resources.json/.", "harmless.py/.", "x//harmless.py", "./foundation.json", "a/../harmless.py")


@pytest.mark.parametrize("name", ODD)
def test_a_name_that_would_be_another_one_on_the_disk_is_refused(name: str) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        out.mkdir("job")
        out.writestr("job/meta.json", "{}")
    check_uploaded(archive.getvalue())
    with zipfile.ZipFile(archive, "a") as out:
        out.writestr(f"job/app/config/{name}", "{}")
    with pytest.raises(TrustError, match="not a plain relative file name"):
        check_uploaded(archive.getvalue())


def test_a_job_that_was_stored_before_is_looked_at_when_it_is_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("job/meta.json", "{}")
        out.writestr("job/app/config/foundation.json", "{}")
    name, jobs = "11111111-2222-3333-4444-555555555555", SubmittedJobs(str(tmp_path / "jobs"))
    monkeypatch.setattr(jobs, "get_content", lambda meta, fl_ctx: archive.getvalue())
    job = Job(name, {"min_clients": 1}, {}, {JobMetaKey.JOB_FOLDER_NAME.value: "job"})
    assert jobs.get_app(job, "app", FLContext())
    with zipfile.ZipFile(archive, "a") as out:
        out.writestr("job/app/config/comm_config.json", "{}")
    with pytest.raises(TrustError, match="a file of the site's own"):
        jobs.get_app(job, "app", FLContext())


@pytest.mark.parametrize("name", ["job/app/config/comm_config.json", "job/app/config/harmless.py"])
def test_the_server_does_not_keep_it(name: str, tmp_path: Path) -> None:
    archive = tmp_path / "job.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("job/meta.json", "{}")
        out.writestr("job/app/config/foundation.json", "{}")
    check_uploaded(str(archive))
    check_uploaded(archive.read_bytes())
    with zipfile.ZipFile(archive, "a") as out:
        out.writestr(name, "{}")
    with pytest.raises(TrustError, match="sign the job again"):
        SubmittedJobs(str(tmp_path / "jobs")).create({}, str(archive), FLContext())
    assert not list((tmp_path / "jobs").iterdir())
