"""The fixed benchmark: what the issue of it asks for is there, and every run takes the same gradient steps."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from benchmarks.fixed.data import Images
from benchmarks.fixed.definition import Case, load_definition
from benchmarks.fixed.settings import BYTES, case_settings
from benchmarks.fixed.tables import BASELINES

from fedefm.data.synth.consortium import GAIA, corpora, default_sites
from fedefm.errors import ConfigError
from fedefm.exchange.tasks import hosted_steps
from fedefm.exchange.topology import resolve
from fedefm.foundation.settings import Settings
from support.tiny_benchmark import REAL, tiny_definition

DEFINITION = load_definition(REAL)
SEEDS = {0, 1, 2}


def shares(method: str, consortium: str = "four", scenario: str = "honest") -> set[tuple[int, int]]:
    cases = [c for c in DEFINITION.cases("all") if c.seed in SEEDS]
    return {(c.unseen, c.seed) for c in cases if (c.method, c.consortium, c.scenario) == (method, consortium, scenario)}


@pytest.mark.parametrize("method", [name for name in BASELINES if name != "pooled_all"])
def test_every_method_is_run_at_every_share_and_seed(method: str) -> None:
    more = {25, 75} if method in ("fedefm", "fedavg", "pooled") else set()
    assert shares(method) == {(unseen, seed) for unseen in {0, 50, 100} | more for seed in SEEDS}


def test_the_decisive_runs_use_fresh_seeds_alone() -> None:
    cases = DEFINITION.cases("decisive")
    assert {c.seed for c in cases} == set(range(3, 11)) and not set(range(3, 11)) & set(SEEDS)
    for method in ("fedefm", "at_home", "turns", "pooled_updates", "fedavg", "fedavg_split_rate", "fedavg_45_rate"):
        assert {(c.unseen, c.seed) for c in cases if c.method == method} >= {
            (unseen, seed) for unseen in (100, 50) for seed in range(3, 11)
        }


@pytest.mark.parametrize("method", ["fedefm", "fedavg", "ring", "matcha", "pooled"])
def test_eleven_hospitals_on_the_gaia_ring(method: str) -> None:
    assert shares(method, "gaia") == {(100, seed) for seed in SEEDS}


@pytest.mark.parametrize("scenario", ["shifted", "swapped", "retina", "absent"])
def test_bad_hospitals_meet_weights_and_their_controls(scenario: str) -> None:
    for method in ("fedefm", "unrated", "uniform", "constant", "regional", "fedavg"):
        assert shares(method, scenario=scenario) == {(50, seed) for seed in SEEDS}


@pytest.mark.parametrize("method", ["fedefm", "uniform", "fedavg"])
def test_without_the_bad_hospital_the_others_take_the_same_steps_in_the_same_rounds(method: str) -> None:
    case = Case("four", method, 50, 0, "absent")
    assert DEFINITION.sites_of(case) == sorted(set(default_sites(4)) - {DEFINITION.plain["bad_site"]})
    here, there = (case_settings(DEFINITION, c) for c in (case, Case("four", method, 50, 0)))
    assert here.schedule.min_sites == 3

    def taken(settings: Settings, sites: list[str]) -> list[int]:
        graph = resolve(settings.topology, sites)
        return [hosted_steps(settings.schedule, graph, "animal", k) for k in range(settings.schedule.rounds)]

    assert taken(here, DEFINITION.sites_of(case)) == taken(there, DEFINITION.sites("four"))


def test_what_the_bad_hospital_labels_others_label_too() -> None:
    for seed in SEEDS:
        found = corpora(default_sites(4), unseen=0.5, seed=seed)
        others = {name for site, names in found.items() if site != DEFINITION.plain["bad_site"] for name in names}
        assert set(found[DEFINITION.plain["bad_site"]]) <= others


def test_the_shares_of_unseen_labels_mean_what_the_page_says() -> None:
    sites = default_sites(4)
    for seed in SEEDS:
        labelled = {u: sum(map(len, corpora(sites, unseen=u / 100, seed=seed).values())) for u in (0, 25, 50, 75, 100)}
        assert labelled == {0: 12, 25: 10, 50: 8, 75: 6, 100: 4}
        alone = corpora(sites, unseen=1.0, seed=seed)
        assert Counter(name for (name,) in alone.values()) == {"catheter": 2, "guidewire": 1, "vessel": 1}


@pytest.mark.parametrize("group", [*DEFINITION.plain["groups"], "ablation"])
def test_every_case_has_settings_of_equal_steps(group: str) -> None:
    for case in dict.fromkeys(Case(c.consortium, c.method, c.unseen, 0, c.scenario) for c in DEFINITION.cases(group)):
        settings = case_settings(DEFINITION, case)  # refuses unequal steps
        assert settings.size == DEFINITION.consortium(case.consortium).get("size", DEFINITION.plain["size"])
        assert settings.to_dict()["model"]["encoder"] == "tu-test_resnet"


def test_our_job_and_its_variants_share_the_steps_out_in_their_own_way_and_baselines_do_not() -> None:
    for consortium, own in DEFINITION.ours.items():
        theirs = DEFINITION.consortium(consortium)["schedule"]
        assert own.items() - theirs.items()
        for method, wanted in {"fedefm": own, "uniform": own, "fedavg": theirs, "ring": theirs}.items():
            schedule = vars(case_settings(DEFINITION, Case(consortium, method, 100, 0)).schedule)
            assert {key: schedule[key] for key in own} == {key: wanted[key] for key in own}, method


@pytest.mark.parametrize("consortium", ["four", "gaia", "real", "devices"])
def test_fedavg_at_equal_bytes_moves_what_fedefm_moves(consortium: str) -> None:
    """Models through the server: FedAvg two a hospital and round; FedEFM two a visit, its teachers, and two more."""
    sites = DEFINITION.sites(consortium)
    ours, theirs = (case_settings(DEFINITION, Case(consortium, m, 100, 0)) for m in ("fedefm", "fedavg" + BYTES))
    graph = resolve(ours.topology, sites)
    visits = sum(len(graph.neighbours(site)) for site in sites)
    moved = 2 * len(sites) + ours.schedule.rounds * (3 * visits + 2 * len(sites))
    assert 2 * len(sites) * theirs.schedule.rounds == pytest.approx(moved, rel=0.02)


def test_the_ring_of_gaia_goes_in_its_own_order() -> None:
    settings = case_settings(DEFINITION, Case("gaia", "ring", 100, 0))
    graph = resolve(settings.topology, sorted(GAIA))
    for k, site in enumerate(GAIA):
        assert set(graph.neighbours(site)) == {GAIA[k - 1], GAIA[(k + 1) % len(GAIA)]}
    assert len(graph.tour()) == 11


def test_the_quick_slice_leads_and_is_part_of_the_whole() -> None:
    assert set(DEFINITION.cases("quick")) <= set(DEFINITION.cases("sweep")) <= set(DEFINITION.cases("all"))
    assert len(DEFINITION.cases("quick")) == 6


def test_neither_the_lists_of_runs_nor_another_consortium_change_a_hash(tmp_path: Path) -> None:
    definition = tiny_definition(tmp_path)
    file, plain = tmp_path / "definition.json", json.loads((tmp_path / "definition.json").read_text())

    def hashes(changed: dict[str, Any]) -> list[str]:
        file.write_text(json.dumps(changed))
        return [load_definition(tmp_path).sha256(name) for name in ("four", "gaia")]

    four, gaia = hashes(plain)
    assert four == definition.sha256("four") != gaia
    assert hashes(plain | {"groups": {}}) == [four, gaia]
    more_frames = plain["consortia"] | {"gaia": plain["consortia"]["gaia"] | {"frames": 41}}
    assert (
        hashes(plain | {"consortia": more_frames})[0] == four != hashes(plain | {"consortia": more_frames})[1] != gaia
    )
    assert not {four, gaia} & set(hashes(plain | {"size": 64}))


def test_real_images_are_asked_for_and_are_no_part_of_all(tmp_path: Path) -> None:
    for group in ("real", "devices"):
        cases = DEFINITION.cases(group)
        assert {case.consortium for case in cases} == {group} and not set(cases) & set(DEFINITION.cases("all"))
    cases = DEFINITION.cases("real")
    (tmp_path / "arcade").mkdir()
    for images in (Images(tmp_path), Images(tmp_path, tmp_path)):
        with pytest.raises(ConfigError, match="--real"):
            images.of(DEFINITION, cases[0])
    (tmp_path / "chase_db1").mkdir()
    assert set(Images(tmp_path, tmp_path).of(DEFINITION, cases[0])) == {"arcade", "chase_db1"}


def test_other_steps_are_refused(tmp_path: Path) -> None:
    definition = tiny_definition(tmp_path)
    (tmp_path / "ablations.json").write_text('{"longer": {"schedule.distil_steps": 2}}')
    with pytest.raises(ConfigError, match=r"12 gradient steps .* has 10"):
        case_settings(definition, Case("four", "longer", 100, 0))


def test_what_is_unknown_is_named(tmp_path: Path) -> None:
    for wrong in ("grup", ""):
        with pytest.raises(ConfigError, match="choose one of"):
            DEFINITION.cases(wrong)
    with pytest.raises(ConfigError, match=r"definition\.json"):
        load_definition(tmp_path)
    with pytest.raises(ConfigError, match="range"):
        Case("four", "fedefm", 101, 0)
    with pytest.raises(ConfigError, match="fedbest"):
        case_settings(DEFINITION, Case("four", "fedbest", 100, 0))
