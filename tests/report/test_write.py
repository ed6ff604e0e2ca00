import json
import math

import pytest

from fedefm.errors import ConfigError
from fedefm.report.write import write_report
from support.fake_report import fake_overlay


def test_json_comes_back_as_it_was(report, comparison, tmp_path):
    for one in (report, comparison):
        page = write_report(one, [fake_overlay()], tmp_path / "new" / "run")
        assert page == tmp_path / "new" / "run" / "report.html"
        assert json.loads((page.parent / "report.json").read_text(encoding="utf-8")) == one
        assert sorted(path.name for path in page.parent.iterdir()) == ["report.html", "report.json"]


def test_nan_is_never_written(report, tmp_path):
    report["history"][2]["loss"]["distil"]["human"] = math.nan
    with pytest.raises(ConfigError, match=r"history\.2\.loss\.distil\.human"):
        write_report(report, [], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_written_json_is_strict(report, tmp_path):
    write_report(report, [], tmp_path)

    def refuse(constant):
        raise AssertionError(constant)

    json.loads((tmp_path / "report.json").read_text(encoding="utf-8"), parse_constant=refuse)


def test_a_refused_report_leaves_the_earlier_one(report, tmp_path):
    write_report(report, [], tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    report["name"] = "second"
    del report["theta"]
    with pytest.raises(ConfigError, match="theta"):
        write_report(report, [], tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_is_a_file_is_named(report, tmp_path):
    place = tmp_path / "file"
    place.write_text("kept", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"file: .*choose a writable folder"):
        write_report(report, [], place)
    assert place.read_text(encoding="utf-8") == "kept"


def test_a_name_taken_by_a_folder_leaves_no_part(report, tmp_path):
    (tmp_path / "report.html" / "inside").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"report.html: cannot be written"):
        write_report(report, [], tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]
