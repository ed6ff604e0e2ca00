"""Which part of fedefm imports which, read from the sources; a part is a package or a module right below `fedefm`."""

import tomllib
from pathlib import Path

import grimp
import networkx as nx

ROOT = Path(__file__).parents[2]
GROUND = "errors"
"""Every part may import it, so a picture with its arrows would show nothing else."""


def layers() -> list[list[str]]:
    """The parts by layer, the highest first, as the contract in `pyproject.toml` has them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (found,) = [contract["layers"] for contract in contracts if contract.get("containers") == ["fedefm"]]
    return [[part.strip() for part in layer.split("|")] for layer in found]


def parts() -> list[str]:
    """Every part but the ground, in the order of the layers."""
    return [part for layer in layers() for part in layer if part != GROUND]


def imports() -> nx.DiGraph:
    """An edge from each part to each part that it imports, for type checking only included; without the ground."""
    found, graph = grimp.build_graph("fedefm", cache_dir=None), nx.DiGraph()
    for module in found.modules:
        for imported in found.find_modules_directly_imported_by(module):
            ends = [name.split(".")[1] for name in (module, imported) if "." in name]
            if len(set(ends)) == 2 and GROUND not in ends:
                graph.add_edge(*ends)
    return graph


def arrows() -> list[str]:
    """The fewest arrows, as lines of Mermaid, from which every import of one part by another follows.

    An arrow that others imply is left out: where A imports B and C, and B imports C, there is none from A to C.
    """
    place = {part: number for number, part in enumerate(parts())}
    fewest = nx.transitive_reduction(imports()).edges
    return [f"  {a} --> {b}" for a, b in sorted(fewest, key=lambda edge: (place[edge[0]], place[edge[1]]))]
