"""A case from its images to its file, broken off and taken up again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benchmarks.fixed.data import Images
from benchmarks.fixed.definition import Case, Definition
from benchmarks.fixed.run import plain_config, processor, run_case
from benchmarks.fixed.settings import case_settings
from benchmarks.fixed.store import is_current, left_over, result_path
from benchmarks.fixed.sweep import sweep

from fedefm.data.dataset import load_site
from fedefm.errors import ConfigError
from fedefm.exchange.record import mean
from fedefm.foundation.run import run_in_process
from fedefm.maths import weights_sha256
from support.splits import images_of, masks_of
from support.tiny_benchmark import tiny_definition

FEDAVG, LONE = Case("four", "fedavg", 100, 0), Case("four", "lone", 100, 0)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    return Images(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def definition(tmp_path_factory: pytest.TempPathFactory) -> Definition:
    return tiny_definition(tmp_path_factory.mktemp("benchmarks"))


@pytest.fixture(scope="module")
def result(definition: Definition, images: Images) -> dict[str, Any]:
    return run_case(definition, FEDAVG, images)


def test_a_result_says_what_ran_and_what_came_out(
    result: dict[str, Any], definition: Definition, images: Images
) -> None:
    plain = json.loads(json.dumps(result, allow_nan=False))
    folders = images.of(definition, FEDAVG)
    run = run_in_process(case_settings(definition, FEDAVG), folders)
    assert plain["theta_sha256"] == weights_sha256(run.state.theta)
    assert plain["dice"]["test"] == run.figures["dice"]["mean"]
    assert plain["steps"] == dict.fromkeys(sorted(folders), 10) and plain["bytes"] == run.figures["bytes"]
    assert plain["key"] == FEDAVG.key and plain["definition"] == definition.sha256("four") and plain["lost"] == []
    assert plain["machine"]["processor"] == processor() and plain["versions"]["torch"]
    assert plain["synthetic"] == sorted(folders)
    assert str(images.cache) not in json.dumps(plain) and str(definition.folder) not in json.dumps(plain)


def test_validation_frames_are_fully_labelled_and_no_test_frames(definition: Definition, images: Images) -> None:
    partial, full = images.of(definition, FEDAVG), images.all_labels(definition, FEDAVG)
    for site in partial:
        here, there = (load_site(folders[site], ("catheter", "guidewire", "vessel"), 32) for folders in (partial, full))
        assert (images_of(here.val) == images_of(there.val)).all() and (
            masks_of(here.test) == masks_of(there.test)
        ).all()
        assert there.corpus == ("catheter", "guidewire", "vessel") and len(here.corpus) == 1


def test_without_theta_every_hospitals_own_model_counts(definition: Definition, images: Images) -> None:
    found = run_case(definition, LONE, images)
    assert found["theta_sha256"] is None
    assert found["dice"]["test"] == found["dice"]["own"] and found["dice"]["validation"] is not None


def test_a_bad_hospital_does_not_count(definition: Definition, images: Images) -> None:
    found = run_case(definition, replace(FEDAVG, unseen=50, scenario="swapped"), images)["dice"]
    values = [v for site, scores in found["by_site"].items() if site != "human" for v in scores.values()]
    assert found["test"] == mean(values) and len(values) == 9 and "human" in found["by_site"]


def test_an_absent_hospital_takes_no_part(definition: Definition, images: Images) -> None:
    found = run_case(definition, replace(FEDAVG, unseen=50, scenario="absent"), images)
    assert sorted(found["dice"]["by_site"]) == sorted(found["corpora"]) == ["animal", "phantom", "simulation"]
    assert found["dice"]["test"] == mean(v for scores in found["dice"]["by_site"].values() for v in scores.values())


@pytest.mark.slow
def test_a_sweep_leaves_files_and_goes_on_where_it_stopped(definition: Definition, images: Images) -> None:
    told: list[str] = []
    cases = [FEDAVG, LONE]
    assert left_over(definition, cases) == cases
    sweep(definition, cases[:1], images, lambda case, *rest: told.append(case.key), device="cpu")
    assert left_over(definition, cases) == cases[1:] and told == [FEDAVG.key]
    file = result_path(definition, FEDAVG)
    stored = json.loads(file.read_text())
    assert stored["theta_sha256"] == run_case(definition, FEDAVG, images)["theta_sha256"]  # another process, same bytes
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_result_of_other_settings_or_another_definition_is_no_result(
    definition: Definition, result: dict[str, Any], tmp_path: Path
) -> None:
    assert is_current(definition, result)
    assert not is_current(definition, result | {"definition": "0"})
    assert not is_current(definition, result | {"case": result["case"] | {"method": "gone"}})
    assert not is_current(definition, with_value(result, "schedule", "theta_mixing", 0.5))
    own = tiny_definition(tmp_path)
    path = result_path(own, FEDAVG)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(ConfigError, match="run again"):
        left_over(own, [FEDAVG])


def with_value(result: dict[str, Any], part: str, name: str, value: Any) -> dict[str, Any]:
    """The same result of another setting; None takes it out, as before the setting was there."""
    changed = json.loads(json.dumps(result))
    changed["config"][part] |= {name: value}
    if value is None:
        del changed["config"][part][name]
    return changed


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [("schedule", "server_rate", 1.25), ("schedule", "order", "parallel"), ("distillation", "beta", 0.9)],
)
def test_what_a_method_does_not_use_makes_its_result_no_other(
    definition: Definition, result: dict[str, Any], part: str, name: str, value: Any
) -> None:
    assert is_current(definition, with_value(result, part, name, value))
    assert not is_current(definition, with_value(ours(definition, result), part, name, value))


def test_a_rate_counts_for_the_baseline_that_has_one(definition: Definition, result: dict[str, Any]) -> None:
    rated = ours(definition, result, "fedavg_rate")
    assert is_current(definition, rated) and is_current(definition, with_value(rated, "schedule", "order", "parallel"))
    assert not is_current(definition, with_value(rated, "schedule", "server_rate", 1.25))


@pytest.mark.parametrize(("part", "name"), [("distillation", "static_limit"), ("schedule", "order")])
def test_a_result_from_before_a_setting_was_there_counts_for_the_value_that_changes_nothing(
    definition: Definition, result: dict[str, Any], part: str, name: str
) -> None:
    assert is_current(definition, with_value(ours(definition, result, "parallel_believed"), part, name, None))
    assert not is_current(definition, with_value(ours(definition, result), part, name, None))


def test_a_result_that_names_a_setting_that_is_no_more_counts_for_the_value_that_changes_nothing(
    definition: Definition, result: dict[str, Any]
) -> None:
    assert is_current(definition, with_value(ours(definition, result), "distillation", "even_nodes", False))
    assert not is_current(definition, with_value(ours(definition, result), "distillation", "even_nodes", True))
    assert not is_current(definition, with_value(ours(definition, result), "distillation", "odd_nodes", False))


def ours(definition: Definition, result: dict[str, Any], method: str = "fedefm") -> dict[str, Any]:
    """A result that says that it is of another method, with that method's settings."""
    case = Case("four", method, 100, 0)
    return result | {"case": vars(case), "config": plain_config(case_settings(definition, case))}


def test_no_worker_no_sweep(definition: Definition, images: Images) -> None:
    with pytest.raises(ConfigError, match="worker"):
        sweep(definition, [], images, lambda *rest: None, workers=0)
