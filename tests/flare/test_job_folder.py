"""Job folders as FLARE takes them: configuration, and no code."""

import json

from fedefm.exchange.schedule import Schedule
from fedefm.flare.job_folder import FOUNDATION, write_job
from fedefm.foundation.settings import Settings, load_settings
from support.small_networks import SMALLEST

SETTINGS = Settings(classes=("vessel",), size=32, model=SMALLEST, schedule=Schedule(min_sites=2))


def test_the_job_that_is_started_has_the_settings_and_the_graph_in_it(tmp_path):
    graph = tmp_path / "ring.json"
    graph.write_text('{"edges": [["a", "b"]]}')
    settings = Settings.from_dict(SETTINGS.to_dict() | {"topology": str(graph)})
    write_job(tmp_path / "job", settings)
    written = load_settings(tmp_path / "job" / "app" / "config" / "foundation.json")
    assert written.topology == "ring.json"
    assert (tmp_path / "job" / "app" / "config" / "ring.json").read_text() == graph.read_text()
    assert written.to_dict() | {"topology": ""} == settings.to_dict() | {"topology": ""}
    assert json.loads((tmp_path / "job" / "meta.json").read_text())["min_clients"] == 2


def test_all_else_is_that_of_the_job_it_was_made_from(tmp_path):
    write_job(tmp_path / "job", SETTINGS)
    written, source = (
        {path.relative_to(job).as_posix(): path.read_text() for path in job.rglob("*") if path.is_file()}
        for job in (tmp_path / "job", FOUNDATION)
    )
    assert set(written) == set(source)
    assert {path for path in source if written[path] != source[path]} <= {"meta.json", "app/config/foundation.json"}
    assert json.loads(written["meta.json"]) == json.loads(source["meta.json"])  # two hospitals at least, as it was


def test_a_job_can_have_a_name_of_its_own(tmp_path):
    write_job(tmp_path / "job", SETTINGS, name="trial")
    meta, source = (json.loads((job / "meta.json").read_text()) for job in (tmp_path / "job", FOUNDATION))
    assert meta == source | {"name": "trial"}
