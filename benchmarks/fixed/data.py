"""The images of a case: drawn once and kept, or real ones from a folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fixed.bad import spoil_site
from benchmarks.fixed.definition import ABSENT, HONEST, Case, Definition
from benchmarks.fixed.devices import write_devices

from fedefm.data.synth.consortium import default_sites, write_consortium
from fedefm.errors import ConfigError


@dataclass(frozen=True)
class Images:
    """Where images lie.

    Attributes:
        cache: folder that keeps the drawn ones.
        real: folder with one folder for each hospital of real images, and of real devices; None where there are none.
    """

    cache: Path
    real: Path | None = None

    def of(self, definition: Definition, case: Case) -> dict[str, Path]:
        """The folder of every hospital that takes part; one of them is bad in the scenarios that say so.

        Raises:
            ConfigError: real images are wanted and not there.
        """
        folders = self._at(definition, case, case.unseen)
        if case.scenario == ABSENT:
            del folders[definition.plain["bad_site"]]
        elif case.scenario != HONEST:
            bad = definition.plain["bad_site"]
            full = self.all_labels(definition, case)[bad]
            place = self.cache / f"{case.consortium}-seed{case.seed}-unseen{case.unseen}-{case.scenario}" / bad
            folders[bad] = spoil_site(folders[bad], full, place, case.scenario, case.seed)
        return folders

    def all_labels(self, definition: Definition, case: Case) -> dict[str, Path]:
        """The same images with every class labelled: their validation frames are what settings are chosen on.

        Real images keep the labels that they have.
        """
        return self._at(definition, case, 0)

    def draw(self, definition: Definition, cases: Iterable[Case]) -> None:
        """Have all images of these cases on disk before any process starts: two must not write one folder."""
        for case in cases:
            self.of(definition, case)
            self.all_labels(definition, case)

    def _at(self, definition: Definition, case: Case, unseen: int) -> dict[str, Path]:
        entry = definition.consortium(case.consortium)
        if "folders" in entry:
            return {name: self._real(name) for name in entry["folders"]}
        place = self.cache / f"{case.consortium}-seed{case.seed}-unseen{unseen}"
        if "devices" in entry:
            return write_devices(place, self.real or Path(), entry["devices"], case.seed, unseen)
        written = write_consortium(
            place,
            sites=default_sites(entry["sites"]),
            frames_per_site=entry["frames"],
            size=definition.plain["size"],
            seed=case.seed,
            unseen=unseen / 100,
        )
        return {folder.name: folder for folder in sorted(written)}

    def _real(self, name: str) -> Path:
        if self.real is None or not (self.real / name).is_dir():
            raise ConfigError(f"benchmark: no real images of '{name}'; name the folder that holds it with --real")
        return self.real / name
