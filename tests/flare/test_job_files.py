"""Where a job's files lie, and how its record is written."""

import json

import pytest

from fedefm.errors import ConfigError
from fedefm.flare.job_files import output_folder, settings_path, write_record
from support.flare_site import job_context


@pytest.fixture
def fl_ctx(tmp_path):
    return job_context(tmp_path, "foundation.json", {"size": 32})


def test_settings_lie_beside_flares_configuration(fl_ctx):
    assert json.loads(settings_path(fl_ctx, "foundation.json").read_text()) == {"size": 32}


@pytest.mark.parametrize("name", ["../foundation.json", "/etc/passwd", "sub/foundation.json"])
def test_a_job_cannot_name_settings_elsewhere(fl_ctx, name):
    with pytest.raises(ConfigError, match="plain name"):
        settings_path(fl_ctx, name)


def test_a_record_lies_alone_in_the_output_folder(fl_ctx):
    write_record(fl_ctx, {"dice": 0.5})
    assert [path.name for path in output_folder(fl_ctx).iterdir()] == ["record.json"]
    assert json.loads((output_folder(fl_ctx) / "record.json").read_text()) == {"dice": 0.5}


def test_a_record_that_json_cannot_hold_leaves_no_file(fl_ctx):
    with pytest.raises(ValueError, match="JSON"):
        write_record(fl_ctx, {"dice": float("nan")})
    assert not output_folder(fl_ctx).exists()
