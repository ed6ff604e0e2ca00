"""Consortia: who labels what."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedefm.data.synth import CLASSES, LOOKS, SiteSpec, default_sites, write_consortium
from fedefm.data.synth.consortium import corpora
from fedefm.errors import ConfigError

COUNTS = st.integers(1, 11)
SEEDS = st.integers(0, 1000)


def unlabelled(labels):
    return {(name, label) for name, corpus in labels.items() for label in CLASSES if label not in corpus}


@given(COUNTS, SEEDS, st.floats(0, 1))
def test_the_unseen_share_is_exact_and_home_classes_stay(count, seed, unseen):
    sites = default_sites(count)
    labels = corpora(sites, unseen=unseen, seed=seed)
    assert abs(len(unlabelled(labels)) - unseen * 2 * count) <= 0.5
    assert all(site.home in labels[name] for name, site in sites.items())


@given(COUNTS, SEEDS, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_only_takes_labels_away(count, seed, one, other):
    sites = default_sites(count)
    few, many = (corpora(sites, unseen=share, seed=seed) for share in sorted((one, other)))
    assert unlabelled(few) <= unlabelled(many)


@pytest.mark.parametrize("count", range(3, 12))
def test_every_class_has_a_hospital_that_labels_it(count):
    assert {site.home for site in default_sites(count).values()} == set(CLASSES)


def test_four_hospitals_have_a_look_each_and_eleven_share_them():
    assert [site.look for site in default_sites(4).values()] == list(LOOKS)
    eleven = default_sites(11)
    assert len(eleven) == 11
    assert {site.look for site in eleven.values()} == set(LOOKS)
    assert len(set(eleven.values())) == 11


def test_a_consortium_is_written_with_its_corpora(tmp_path):
    sites = {"east": SiteSpec("human", "vessel"), "west": SiteSpec("human", "catheter", style=0.2)}
    calls = []
    folders = write_consortium(
        tmp_path, sites=sites, frames_per_site=4, size=32, seed=2, unseen=1.0, progress=lambda *call: calls.append(call)
    )
    assert folders == [tmp_path / "east", tmp_path / "west"]
    manifests = [json.loads((folder / "dataset.json").read_text()) for folder in folders]
    assert [manifest["annotated"] for manifest in manifests] == [["vessel"], ["catheter"]]
    assert [manifest["name"] for manifest in manifests] == ["east", "west"]
    assert calls == [(done, 8) for done in range(1, 9)]
    east, west = ({path.read_bytes() for path in (folder / "images").iterdir()} for folder in folders)
    assert not east & west


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: SiteSpec("mri", "vessel"), "mri"),
        (lambda: SiteSpec("human", "stent"), "stent"),
        (lambda: SiteSpec("human", "vessel", style=3.0), "style 3.0"),
        (lambda: default_sites(12), "12"),
        (lambda: corpora(default_sites(4), unseen=1.5, seed=0), "unseen 1.5"),
    ],
)
def test_wrong_arguments_are_named(make, word):
    with pytest.raises(ConfigError, match=word):
        make()
