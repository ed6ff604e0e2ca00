"""What the benchmark is: data, network, optimiser, steps, seeds. Fixed before any setting is searched for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedefm.data.synth.consortium import default_sites
from fedefm.errors import ConfigError

FILE = "definition.json"
ABLATIONS = "ablations.json"
SPLIT = "ours.json"
HONEST = "honest"
ABSENT = "absent"
ASIDE = ("real", "devices", "turns_in_groups")
"""Groups that `all` leaves out: on images that a user must have, or of another question."""
SCENARIOS = (HONEST, ABSENT, "shifted", "swapped", "retina")


@dataclass(frozen=True)
class Case:
    """One run of the benchmark.

    Attributes:
        consortium: `four`, `gaia`, `real` or `devices`.
        method: name of a job, of a baseline at equal bytes, or of an ablation.
        unseen: percent of the pairs of a hospital and another's class that the hospital does not label.
        seed: of the images, of the start weights and of every random choice.
        scenario: `honest`, what is wrong with the bad hospital, or `absent`: the others without it.
    """

    consortium: str
    method: str
    unseen: int
    seed: int
    scenario: str = HONEST

    def __post_init__(self) -> None:
        if not 0 <= self.unseen <= 100 or self.seed < 0 or self.scenario not in SCENARIOS:
            raise ConfigError(f"benchmark case {self.method}: unseen, seed or scenario is out of range")

    @property
    def key(self) -> str:
        """Names the case's result."""
        tail = "" if self.scenario == HONEST else f"-{self.scenario}"
        return f"{self.consortium}/{self.method}-unseen{self.unseen}-seed{self.seed}{tail}"


@dataclass(frozen=True)
class Definition:
    """The benchmark's files.

    Attributes:
        folder: `benchmarks/`, with the definition, graphs, ablations and results.
        plain: content of `definition.json`.
    """

    folder: Path
    plain: Mapping[str, Any]

    def sha256(self, consortium: str) -> str:
        """Hash of all that fixes the results of a consortium; the other ones and the lists of runs do not."""
        fixed = {key: value for key, value in self.plain.items() if key not in ("groups", "consortia")}
        text = json.dumps({**fixed, "consortium": self.consortium(consortium)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def ablations(self) -> Mapping[str, Mapping[str, Any]]:
        """Named changes to our own settings; what they say is open to search, unlike the definition."""
        return json.loads((self.folder / ABLATIONS).read_text())

    @property
    def ours(self) -> Mapping[str, Mapping[str, int]]:
        """By consortium, how our own job shares out the steps that all methods have; open to search as well."""
        return json.loads((self.folder / SPLIT).read_text())

    def consortium(self, name: str) -> Mapping[str, Any]:
        """Hospitals, frames, topology and steps of a consortium.

        Raises:
            ConfigError: there is no such consortium.
        """
        return _named(self.plain["consortia"], name, "consortium")

    def sites(self, consortium: str) -> list[str]:
        """Names of a consortium's hospitals, sorted: folders of real images, or drawn ones."""
        entry = self.consortium(consortium)
        return sorted(entry.get("folders") or entry.get("devices") or default_sites(entry["sites"]))

    def sites_of(self, case: Case) -> list[str]:
        """Names of the hospitals that take part in a case."""
        return [s for s in self.sites(case.consortium) if case.scenario != ABSENT or s != self.plain["bad_site"]]

    def cases(self, group: str) -> list[Case]:
        """The runs of a group, in their order; each once.

        Raises:
            ConfigError: there is no such group.
        """
        if group == "all":
            drawn = (name for name in self.plain["groups"] if name not in ASIDE)
            return list(dict.fromkeys(case for name in drawn for case in self.cases(name)))
        if group == "ablation":
            return self._ablation_cases()
        entries = _named(self.plain["groups"], group, "group")
        return list(dict.fromkeys(case for entry in entries for case in _expand(entry)))

    def _ablation_cases(self) -> list[Case]:
        """Every ablation where labels differ most and where all agree, by seed."""
        return [Case("four", name, unseen, seed) for seed in range(3) for unseen in (100, 0) for name in self.ablations]


def load_definition(folder: Path) -> Definition:
    """Read `definition.json` of a folder.

    Raises:
        ConfigError: it is missing or not JSON.
    """
    path = folder / FILE
    try:
        return Definition(folder, json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); name a benchmarks folder") from error


def _expand(entry: Mapping[str, Any]) -> Iterator[Case]:
    for seed in entry["seeds"]:
        for scenario in entry.get("scenarios", [HONEST]):
            for unseen in entry["unseen"]:
                for method in entry["methods"]:
                    yield Case(entry.get("consortium", "four"), method, unseen, seed, scenario)


def _named(known: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in known:
        raise ConfigError(f"benchmark: {what} '{name}' is unknown; choose one of {', '.join(known)}")
    return known[name]
