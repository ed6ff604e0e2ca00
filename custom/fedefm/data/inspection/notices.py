"""How a folder was grouped, and what of it should be looked at, in words for the hospital's own screen."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedefm.data.grouping.groups import is_stated, reasons
from fedefm.data.inspection.leaks import contradictions, doubles, offer, parted
from fedefm.data.inspection.suspects import sparse, turned
from fedefm.data.inspection.whole import Inspection
from fedefm.data.manifest import FILE_NAME, IGNORE

_SHOWN = 300  # letters of a line for dataset.json; --json has all of it

Notice = tuple[str, str]
"""What to look at, with the names of files and without."""


@dataclass(frozen=True)
class Grouped:
    """How files became patients.

    Attributes:
        stated: `dataset.json` says it; nothing was grouped.
        groups: patients of several files.
        by: how many joins each kind of evidence made.
        unsure: first and last name of runs whose pictures are unlike: taken for patients, but it may be a run.
        offer: what to state in `dataset.json`, to keep together what belongs together; empty where nothing is to state.
    """

    stated: bool
    groups: int
    by: Mapping[str, int]
    unsure: tuple[tuple[str, str], ...]
    offer: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "stated": self.stated,
            "groups": self.groups,
            "by": dict(self.by),
            "unsure": [list(pair) for pair in self.unsure],
            "offer": dict(self.offer),
        }

    def lines(self) -> list[str]:
        """For a terminal."""
        if self.stated:
            found = [f"  grouped   as {FILE_NAME} states"]
        else:
            by = "; ".join(f"{why} ({count} joins)" for why, count in self.by.items())
            found = [f"  grouped   {f'{self.groups} patients of several files, by {by}' if by else 'each file alone'}"]
        found += [
            f"            unsure: {first} to {last} are counted as frames are, but look unlike: taken for patients"
            for first, last in self.unsure[:3]
        ]
        if self.offer:
            found.append(f"            to state it in {FILE_NAME}: {_shown(self.offer)}")
        return found


def grouped(inspection: Inspection) -> Grouped:
    """How files became patients, and what to write where it should be stated."""
    stated = is_stated(inspection.manifest)
    own = {stem: inspection.manifest.patient_of(stem) for stem in inspection.images} if not stated else {}
    by = {} if stated else {why.value: count for why, count in reasons(own, inspection.evidence.links).items()}
    needed = bool(parted(inspection)) if stated else bool(by)
    return Grouped(
        stated=stated,
        groups=sum(count > 1 for count in Counter(inspection.patient_of.values()).values()),
        by=by,
        unsure=() if stated else tuple((run.stems[0], run.stems[-1]) for run in inspection.evidence.unsure),
        offer=offer(inspection) if needed else {},
    )


def notices(inspection: Inspection) -> list[Notice]:
    """Splits that leak, pictures with two masks, masks that lie wrongly, classes in few frames of a cine."""
    return [*_parted(inspection), *_doubles(inspection), *_turned(inspection), *_sparse(inspection)]


def _parted(inspection: Inspection) -> list[Notice]:
    found = []
    for one in parted(inspection):
        first, splits = one.links[0], inspection.split_of
        text = f"{len(one.links)} pairs of files are {one.why} but lie in two splits"
        example = f"first {first.one} ({splits.get(first.one)}) and {first.other} ({splits.get(first.other)})"
        found.append((f"{text}, {example}; see the line for {FILE_NAME} above", text))
    return found


def _doubles(inspection: Inspection) -> list[Notice]:
    found, twice = [], doubles(inspection)
    wrong = contradictions(inspection)
    if wrong:
        text = f"{len(wrong)} pictures lie under two names with two masks"
        found.append((f"{text}, first {wrong[0][0]} and {wrong[0][1]}; keep the right one", text))
    if twice > len(wrong):
        text = f"{twice - len(wrong)} pictures lie under two names with the same mask"
        found.append((text, text))
    return found


def _turned(inspection: Inspection) -> list[Notice]:
    names = inspection.manifest.classes
    texts = [
        f"masks of class {names.get(one.value, one.value)!r} lie on dark lines only {one.how}, in {one.frames} of "
        f"{one.of} frames; export them as they are shown (--sheet shows it)"
        for one in turned(inspection.seen)
    ]
    return [(text, text) for text in texts]


def _sparse(inspection: Inspection) -> list[Notice]:
    """One notice a class: there may be a thousand cines."""
    found: dict[int, list[tuple[str, int, int]]] = {}
    for one in sparse(inspection.seen, inspection.class_names, inspection.evidence.links):
        found.setdefault(one.value, []).append((one.stem, one.frames, one.of))
    notes = []
    for value, cines in found.items():
        name, (stem, frames, of) = inspection.manifest.classes.get(value, value), cines[0]
        text = f"class {name!r} is in few frames of {len(cines)} cines or series"
        more = (
            "frames that nobody looked at count as background: annotate them, or give them a value of their own and "
            f'declare it in {FILE_NAME}, as "255": "{IGNORE}"'
        )
        notes.append((f"{text}, first {stem}: {frames} of {of}; {more}", f"{text}; {more}"))
    return notes


def _shown(lines: Mapping[str, Any]) -> str:
    text = json.dumps(dict(lines), ensure_ascii=False)[1:-1]
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ... (--json gives it whole)"
