"""The pictures of the architecture are those of the sources."""

import re
from pathlib import Path

import networkx as nx

from support.markdown import blocks
from support.package_graph import GROUND, arrows, imports, layers, parts

ROOT = Path(__file__).parents[1]


def picture() -> tuple[str, ...]:
    """The lines of the one Mermaid picture."""
    (found,) = [b for b in blocks((ROOT / "docs" / "architecture.md").read_text()) if b.language == "mermaid"]
    return found.lines


def test_every_part_has_its_place_in_the_picture() -> None:
    drawn = [match[1] for line in picture() if (match := re.match(r'  (\w+)\["', line))]
    found = {
        p.stem for p in (ROOT / "custom" / "fedefm").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    assert sorted(drawn) == sorted(parts()) == sorted(found - {GROUND, "__init__"})


def test_the_arrows_are_the_imports() -> None:
    """Each arrow is a real import, and every import follows from the arrows: they are its transitive reduction."""
    drawn = [line for line in picture() if "-->" in line]
    paste = "put these in place of the arrows of docs/architecture.md:\n" + "\n".join(arrows())
    assert drawn == arrows(), paste


def test_an_arrow_that_others_imply_is_not_drawn() -> None:
    graph = imports()
    assert graph.has_edge("flare", "exchange") and "  flare --> exchange" not in arrows()
    drawn = nx.DiGraph(tuple(line.split(" --> ")) for line in map(str.strip, arrows()))
    assert set(drawn.edges) <= set(graph.edges)
    assert nx.transitive_closure(drawn).edges == nx.transitive_closure(graph).edges


def test_the_table_of_layers_is_the_contract() -> None:
    """CONTRIBUTING lists the layers of `pyproject.toml` in their order."""
    text = (ROOT / "CONTRIBUTING.md").read_text().partition("## Layers")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert [re.findall(r"`(\w+)`", row) for row in rows] == layers()
