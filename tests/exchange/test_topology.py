import json
from pathlib import Path

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedefm.errors import ConfigError
from fedefm.exchange.topology import Topology, complete, from_edges, load, resolve, ring

SITES = ("oslo", "lima", "rome", "bern")


@st.composite
def graphs(draw: st.DrawFn) -> Topology:
    sites = [f"s{k}" for k in range(draw(st.integers(1, 6)))]
    pairs = [(a, b) for a in sites for b in sites if a != b]
    edges = draw(st.lists(st.sampled_from(pairs), max_size=12)) if pairs else []
    return from_edges(sites, edges, directed=draw(st.booleans()))


@given(graphs())
def test_visitors_are_the_transpose_of_neighbours(graph: Topology) -> None:
    there = {(site, host) for site in graph.sites for host in graph.neighbours(site)}
    back = {(visitor, site) for site in graph.sites for visitor in graph.visitors(site)}
    assert there == back
    for site in graph.sites:
        assert list(graph.neighbours(site)) == sorted(set(graph.neighbours(site)))
        assert list(graph.visitors(site)) == sorted(set(graph.visitors(site)))


@given(st.permutations(SITES))
def test_complete_has_every_pair_whatever_the_order(sites: list[str]) -> None:
    graph = complete(sites)
    assert graph == complete(SITES)
    assert {(a, b) for a in SITES for b in graph.neighbours(a)} == {(a, b) for a in SITES for b in SITES if a != b}


@given(st.integers(1, 9))
def test_ring_is_the_cycle_graph(count: int) -> None:
    sites = [f"s{k:02}" for k in range(count)]
    cycle = networkx.Graph()
    cycle.add_nodes_from(sites)
    cycle.add_edges_from((a, b) for a, b in zip(sites, sites[1:] + sites[:1], strict=True) if a != b)
    assert {site: set(ring(sites).neighbours(site)) for site in sites} == {s: set(cycle[s]) for s in sites}


def test_ring_follows_the_given_order() -> None:
    assert ring(("c", "a", "d", "b")).neighbours("c") == ("a", "b")


def write(graph: networkx.Graph, path: Path) -> Path:
    if path.suffix == ".json":
        path.write_text(json.dumps({"directed": graph.is_directed(), "edges": list(graph.edges())}))
    else:
        {".graphml": networkx.write_graphml, ".gml": networkx.write_gml}[path.suffix](graph, path)
    return path


@pytest.mark.parametrize("suffix", [".graphml", ".gml", ".json"])
@pytest.mark.parametrize("kind", [networkx.Graph, networkx.DiGraph, networkx.MultiGraph])
def test_reads_back_what_networkx_writes(tmp_path: Path, suffix: str, kind: type[networkx.Graph]) -> None:
    graph = kind([("lima", "oslo"), ("oslo", "rome"), ("rome", "bern"), ("bern", "rome")])
    found = load(write(graph, tmp_path / f"graph{suffix}"), SITES)
    assert {site: set(found.neighbours(site)) for site in SITES} == {site: set(graph[site]) for site in SITES}


def test_a_directed_edge_goes_one_way() -> None:
    graph = from_edges(SITES, [("oslo", "lima")], directed=True)
    assert graph.neighbours("oslo") == ("lima",) and graph.neighbours("lima") == ()
    assert graph.visitors("lima") == ("oslo",) and graph.visitors("oslo") == ()


def test_resolve_finds_names_and_files(tmp_path: Path) -> None:
    write(networkx.Graph([("oslo", "lima")]), tmp_path / "two.graphml")
    assert resolve("complete", SITES) == complete(SITES)
    assert resolve("ring", SITES) == ring(SITES)
    assert resolve("two.graphml", SITES, tmp_path) == from_edges(SITES, [("oslo", "lima")])


@pytest.mark.parametrize(
    ("text", "suffix", "blamed"),
    [
        ('{"edges": [["oslo", "paris"]]}', ".json", "'paris'"),
        ('{"edges": [["oslo", "oslo"]]}', ".json", "'oslo'"),
        ('{"edges": [["oslo"]]}', ".json", "graph.json"),
        ('{"edges": 5}', ".json", "graph.json"),
        ("[]", ".json", "graph.json"),
        ("{", ".json", "graph.json"),
        ("<graphml><graph>", ".graphml", "graph.graphml"),
        ("", ".graphml", "graph.graphml"),
        ("graph [ node", ".gml", "graph.gml"),
        ("oslo lima", ".csv", "graph.csv"),
        (None, ".json", "graph.json"),
        (None, ".gml", "graph.gml"),
        (None, ".graphml", "graph.graphml"),
    ],
)
def test_a_wrong_file_is_named_in_one_line(tmp_path: Path, text: str | None, suffix: str, blamed: str) -> None:
    path = tmp_path / f"graph{suffix}"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path, SITES)
    assert blamed in str(caught.value) and "\n" not in str(caught.value)


@given(st.binary(max_size=60), st.sampled_from([".json", ".gml", ".graphml"]))
def test_any_bytes_give_a_graph_or_a_config_error(tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str):
    path = tmp_path_factory.mktemp("any") / f"graph{suffix}"
    path.write_bytes(data)
    try:
        assert load(path, SITES).sites == tuple(sorted(SITES))
    except ConfigError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("name", ["student", "theta", "previous", "correction"])
def test_reserved_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        complete(("oslo", name))


@pytest.mark.parametrize("hosts", [{"a": ("a",)}, {"a": ("b",)}, {"a": ("b", "b"), "b": ()}])
def test_self_loops_strangers_and_doubles_are_refused(hosts: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ConfigError, match="'a'"):
        Topology(hosts)


@pytest.mark.parametrize("build", [complete, ring, lambda sites: from_edges(sites, [])])
def test_two_sites_of_one_name_are_refused(build) -> None:
    with pytest.raises(ConfigError, match="same name"):
        build(("oslo", "oslo"))


def test_a_tour_is_a_ring_through_all_along_edges() -> None:
    order = ("virginia", "saopaulo", "dublin", "frankfurt", "mumbai", "singapore", "sydney")
    tour = ring(order).tour()
    start = order.index(tour[0])
    turned = order[start:] + order[:start]
    assert tour in (turned, (turned[0], *turned[:0:-1]))
    assert complete("dacb").tour() == ("a", "b", "c", "d")
    assert complete("a").tour() == ("a",) and complete("ab").tour() == ("a", "b")


def test_a_tour_finds_its_way_back_from_a_dead_end() -> None:
    bowl = from_edges("abcd", [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a"), ("a", "c")])
    assert bowl.tour() == ("a", "b", "c", "d")
    with pytest.raises(ConfigError, match="no ring"):
        from_edges("abcd", [("a", "b"), ("a", "c"), ("a", "d")]).tour()


@pytest.mark.parametrize("name", ["/etc/graph.json", "../graph.json", "sub/graph.json"])
def test_a_job_names_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="by its name alone"):
        resolve(name, SITES, tmp_path)
