"""Which silos' experts visit which hosts: complete, ring, or any graph from a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedefm.errors import ConfigError
from fedefm.exchange.messages import RESERVED

COMPLETE = "complete"
RING = "ring"


@dataclass(frozen=True)
class Topology:
    """The neighbours N(i) of every silo i, as in the paper's notation.

    Attributes:
        hosts: for each silo, the sorted names of the hosts that its weights visit. An undirected graph lists each
            edge both ways.

    Raises:
        ConfigError: a silo visits itself, an unknown silo or one silo twice, or has a reserved name.
    """

    hosts: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        for name in RESERVED:
            if name in self.hosts:
                raise ConfigError(f"topology: a site cannot be called '{name}'; weights go by that name")
        for site, hosts in self.hosts.items():
            strangers = sorted(set(hosts) - set(self.hosts))
            if strangers:
                raise ConfigError(f"topology: '{site}' visits '{strangers[0]}', which is not a site of this job")
            if site in hosts or len(set(hosts)) != len(hosts):
                raise ConfigError(f"topology: '{site}' visits itself or one host twice; list each other host once")

    @property
    def sites(self) -> tuple[str, ...]:
        """All silos, sorted."""
        return tuple(sorted(self.hosts))

    def neighbours(self, site: str) -> tuple[str, ...]:
        """Hosts that `site` sends its weights to, sorted."""
        return self.hosts[site]

    def visitors(self, host: str) -> tuple[str, ...]:
        """Silos whose weights `host` trains, sorted."""
        return tuple(site for site in self.sites if host in self.hosts[site])

    def tour(self) -> tuple[str, ...]:
        """A ring through all silos along edges, the first by name; two silos or one need no way back.

        Raises:
            ConfigError: there is none.
        """
        if not self.hosts:
            return ()
        found = self._extend(self.sites[:1])
        if found is None:
            raise ConfigError("topology: no ring leads through all sites; use complete, ring or a graph with one")
        return found

    def _extend(self, path: tuple[str, ...]) -> tuple[str, ...] | None:
        if len(path) == len(self.hosts):
            return path if len(path) < 3 or path[0] in self.hosts[path[-1]] else None
        steps = (site for site in self.hosts[path[-1]] if site not in path)
        return next((tour for site in steps if (tour := self._extend((*path, site)))), None)


def complete(sites: Iterable[str]) -> Topology:
    """Every silo visits every other."""
    names = _unique(sites)
    return Topology({site: tuple(other for other in names if other != site) for site in names})


def ring(sites: Sequence[str]) -> Topology:
    """Every silo visits the two beside it, in the order given (two silos visit each other once)."""
    _unique(sites)
    count = len(sites)
    return Topology(
        {site: tuple(sorted({sites[(k - 1) % count], sites[(k + 1) % count]} - {site})) for k, site in enumerate(sites)}
    )


def from_edges(sites: Iterable[str], edges: Iterable[tuple[str, str]], *, directed: bool = False) -> Topology:
    """Build from an edge list (visitor, host); undirected edges go both ways.

    Raises:
        ConfigError: an edge names an unknown site or ties a site to itself.
    """
    hosts: dict[str, set[str]] = {site: set() for site in _unique(sites)}
    for visitor, host in edges:
        for name in (visitor, host):
            if name not in hosts:
                raise ConfigError(f"topology: edge {visitor} - {host} names '{name}', which is not a site of this job")
        hosts[visitor].add(host)
        if not directed:
            hosts[host].add(visitor)
    return Topology({site: tuple(sorted(found)) for site, found in hosts.items()})


def load(path: Path, sites: Iterable[str]) -> Topology:
    """Read a graph from GraphML (`.graphml`), GML (`.gml`) or JSON (`{"directed": false, "edges": [["a", "b"]]}`).

    Raises:
        ConfigError: the file is missing, unreadable, of another kind, or names unknown sites.
    """
    try:
        if path.suffix == ".json":
            graph = json.loads(path.read_text())
            edges, directed = [(str(a), str(b)) for a, b in graph["edges"]], bool(graph.get("directed", False))
        else:
            edges, directed = _networkx_edges(path)
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f"topology file {path}: {reason}; use complete, ring or a graph file") from error
    except ConfigError:
        raise
    except Exception as error:  # parsers raise many kinds
        raise ConfigError(f"topology file {path}: not a valid graph ({type(error).__name__}: {error})") from error
    return from_edges(sites, edges, directed=directed)


def resolve(name: str, sites: Sequence[str], folder: Path | None = None) -> Topology:
    """`complete`, `ring` in the order of `sites` (jobs sort them by name), or a graph file, relative to `folder`."""
    if name == COMPLETE:
        return complete(sites)
    if name == RING:
        return ring(sites)
    if folder is not None and Path(name).name != name:
        raise ConfigError("topology: a job names a file beside its settings, by its name alone")
    return load((folder or Path()) / name, sites)


def _networkx_edges(path: Path) -> tuple[list[tuple[str, str]], bool]:
    import networkx  # imported here: most runs need no graph file

    readers: Mapping[str, Any] = {".graphml": networkx.read_graphml, ".gml": networkx.read_gml}
    if path.suffix not in readers:
        raise ConfigError(f"topology file {path}: use .graphml, .gml or .json, or the names complete and ring")
    graph = readers[path.suffix](path)
    return [(str(a), str(b)) for a, b in graph.edges()], bool(graph.is_directed())


def _unique(sites: Iterable[str]) -> tuple[str, ...]:
    names = tuple(sites)
    if len(set(names)) != len(names):
        raise ConfigError("topology: two sites have the same name; give each its own")
    return tuple(sorted(names))
