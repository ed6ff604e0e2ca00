import pytest

from fedefm.errors import ConfigError
from fedefm.kits.lay import fill, lay, loose, replace_once, tighten


def test_templates_are_laid_with_their_modes_and_fallbacks(tmp_path):
    template, kit = tmp_path / "template", tmp_path / "kit"
    (template / "local").mkdir(parents=True)
    (template / "startup").mkdir()
    (template / "local" / "resources.json").write_text('{"root": "{~~storage~~}/jobs"}')
    (template / "local" / "note.txt").write_text("plain")
    (template / "startup" / "start.sh").write_text("#!/bin/sh\n")
    (template / "startup" / "start.sh").chmod(0o755)
    (kit / "local").mkdir(parents=True)
    (kit / "local" / "resources.json.default").write_text("FLARE's")
    lay(template, kit, {"storage": "/srv"})
    assert (kit / "local" / "resources.json").read_text() == '{"root": "/srv/jobs"}'
    assert (kit / "local" / "resources.json.default").read_text() == '{"root": "/srv/jobs"}'
    assert not (kit / "local" / "note.txt.default").exists()
    tighten(kit)
    assert loose(kit) == []
    assert (kit / "startup" / "start.sh").stat().st_mode & 0o777 == 0o700
    assert (kit / "local" / "note.txt").stat().st_mode & 0o777 == 0o600


def test_loose_names_what_others_may_open(tmp_path):
    (tmp_path / "a").write_text("")
    tighten(tmp_path)
    (tmp_path / "a").chmod(0o640)
    assert [p.as_posix() for p in loose(tmp_path)] == ["a"]


def test_placeholders_have_values_that_stay_in_their_string(tmp_path):
    with pytest.raises(ConfigError, match="'storage' has no value"):
        fill("{~~storage~~}", {}, tmp_path)
    for bad in ('a"b', "a\\b", "a\nb"):
        with pytest.raises(ConfigError, match="'storage' holds"):
            fill("{~~storage~~}", {"storage": bad}, tmp_path)
    assert fill("no {placeholder}", {}, tmp_path) == "no {placeholder}"


@pytest.mark.parametrize("text", ["", "old old"])
def test_a_file_of_another_flare_is_refused(tmp_path, text):
    path = tmp_path / "sub_start.sh"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"sub_start\.sh"):
        replace_once(path, "old", "new")
