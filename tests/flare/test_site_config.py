import json
from pathlib import Path

import pytest
import torch

from fedefm.errors import ConfigError, ProtocolError
from fedefm.exchange.messages import STUDENT, Assignment, Stage, Task
from fedefm.flare.site_config import SiteConfig, load_site_config
from fedefm.flare.survey_executor import SurveyExecutor
from fedefm.survey.settings import SETTINGS_FILE
from support.angiograms import angiogram
from support.angiograms import site as folder_of


def write(folder, name, **values):
    (folder / name).write_text(json.dumps(values))


def test_a_sites_own_file_comes_first(tmp_path):
    write(tmp_path, "fedefm_site.json", data="common")
    write(tmp_path, "fedefm_site.north.json", data="/own", threads=2)
    assert load_site_config(tmp_path, "north").data.as_posix() == "/own"
    assert load_site_config(tmp_path, "north").threads == 2
    assert load_site_config(tmp_path, "south").data == tmp_path / "common"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"data": 1}',
        '{"data": "x", "thread": 1}',
        '{"data": "x", "threads": "1"}',
        '{"data": "x", "threads": true}',
        '{"data": "x", "threads": 0}',
    ],
)
def test_a_wrong_file_is_named_in_one_line(tmp_path, text):
    (tmp_path / "fedefm_site.json").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_site_config(tmp_path, "north")
    assert "fedefm_site.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_what_to_write(tmp_path):
    with pytest.raises(ConfigError, match=r"fedefm_site\.json: no such file; write it as"):
        load_site_config(tmp_path, "north")


def test_limits_refuse_what_lies_beyond_them(tmp_path):
    config = SiteConfig(tmp_path, max_steps=5, max_megabytes=1)
    small, large = {"w": torch.zeros(250_000)}, {"w": torch.zeros(250_001)}
    config.check(Assignment(Task(Stage.LOCAL, 0, "a", "a", steps=5), {STUDENT: small}))
    with pytest.raises(ProtocolError, match="max_steps is 5"):
        config.check(Assignment(Task(Stage.LOCAL, 0, "a", "a", steps=6), {STUDENT: small}))
    with pytest.raises(ProtocolError, match="max_megabytes is 1"):
        config.check(Assignment(Task(Stage.LOCAL, 0, "a", "a", steps=5), {STUDENT: large}))


def test_the_place_of_prepared_images_is_the_sites_own(tmp_path: Path) -> None:
    file = tmp_path / "fedefm_site.json"
    for said, place in (({}, None), ({"cache": "fast"}, tmp_path / "fast"), ({"cache": "/fast"}, Path("/fast"))):
        file.write_text(json.dumps({"data": "images", **said}))
        assert load_site_config(tmp_path, "north").cache == place


def test_a_hospital_may_stay_out_of_every_count_of_pictures(tmp_path: Path) -> None:
    """Its own word holds in the executor, whatever the job asks for."""
    settings = tmp_path / SETTINGS_FILE
    settings.write_text(json.dumps({"classes": ["wire"], "least_images": 1}))
    task = Task(Stage.OFFER, 0, "north", "south")
    pictures = folder_of(tmp_path / "images", {f"p{k}": angiogram(k) for k in range(2)})
    for said, compared in (({"compare_pictures": False}, False), ({}, True)):
        write(tmp_path, "fedefm_site.json", data=str(pictures), least_images=1, **said)
        site = SurveyExecutor().open_site("north", load_site_config(tmp_path, "north"), settings, tmp_path)
        result = site.perform(Assignment(task, {}))
        assert result.report == {"compared": compared} and (result.weights is not None) == compared


def test_the_policy_of_approval_is_read_and_a_slip_in_it_is_named(tmp_path):
    rule = {"signer": "lead@x", "kinds": ["evaluation"]}
    (tmp_path / "fedefm_site.json").write_text(json.dumps({"data": "d", "approval": {"ask": True, "standing": [rule]}}))
    found = load_site_config(tmp_path, "a").approval
    assert found.ask and found.standing[0].signer == "lead@x" and found.standing[0].kinds == ("evaluation",)
    for wrong, said in (
        ({"asks": True}, "'asks' is unknown; did you mean 'ask'"),
        ({"standing": [rule | {"kind": []}]}, "'kind' is unknown; did you mean 'kinds'"),
        ({"standing": [rule | {"kinds": ["training"]}]}, "'training' is unknown; choose one of foundation"),
        ({"ask": 1}, "ask must be of type bool"),
    ):
        (tmp_path / "fedefm_site.json").write_text(json.dumps({"data": "d", "approval": wrong}))
        with pytest.raises(ConfigError, match=said):
            load_site_config(tmp_path, "a")
