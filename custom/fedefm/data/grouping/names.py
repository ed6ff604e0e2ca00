"""What the names of files say of patients and of series, before anybody looks into the files."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

NEAR = 10
"""Bare numbers that lie further apart than this do not follow on one another."""

_WORDS = "patient|pat|pt|case|subject|subj|sub|animal|pig|phantom|mrn"
# One letter means a patient only at the start, and only with something behind it: p07_seq1, not xp07.
_PATIENT = re.compile(rf"(?:^|(?<=[-_. ]))(?:{_WORDS})[-_ ]?\d+(?![0-9])|^[ps]\d+(?=[-_. ])", re.IGNORECASE)
_FRAME = re.compile(
    r"^(?P<head>|.*[-_. ]|.*?\d)(?:frame|frm|fr|slice)[-_. ]?\d{1,9}$"
    r"|^(?P<short>.+[-_. ]|.*?\d)(?:f|sl|t)[-_. ]?\d{1,9}$",
    re.IGNORECASE,
)
_BARE = re.compile(r"^(?P<head>.*?)(?P<number>\d{1,9})$")


@dataclass(frozen=True)
class Run:
    """Files whose names differ in a running number alone.

    Attributes:
        stems: in the order of their numbers.
        numbers: one a stem.
    """

    stems: tuple[str, ...]
    numbers: tuple[int, ...]


def patient_in(stem: str) -> str | None:
    """The patient that a name tells by a word, as in `case12_frame003` or `p07_seq1`; None where it tells none."""
    found = _PATIENT.search(stem)
    return None if found is None else found[0].casefold()


def series_in(stem: str) -> str | None:
    """What stands before a number that a word calls a frame's, as `run1` in `run1_f003`; None without such a word.

    It is empty where nothing stands there: one run.
    """
    found = _FRAME.match(stem)
    return None if found is None else (found["head"] or found["short"] or "").rstrip("-_. ")


def running(stems: Iterable[str]) -> list[Run]:
    """Names with nothing but a number at the end, such as `ani_00012`, three of them or more.

    They may be frames of a run, or patients that were counted: only their pictures can tell.
    """
    found: dict[str, list[tuple[int, str]]] = {}
    for stem in stems:
        if (match := _BARE.match(stem)) is not None:
            found.setdefault(match["head"], []).append((int(match["number"]), stem))
    ordered = [sorted(frames) for frames in found.values() if len(frames) > 2]
    return [Run(tuple(stem for _, stem in one), tuple(number for number, _ in one)) for one in ordered]


def expression_for(patient_of: Mapping[str, str]) -> str | None:
    """A regular expression for `patients` of `dataset.json` that groups these names in just this way, if one does."""
    for candidate in _candidates(patient_of):
        pattern = re.compile(candidate)
        found = {stem: match["patient"] for stem in patient_of if (match := pattern.search(stem)) and match["patient"]}
        if len(found) == len(patient_of) and _partition(found) == _partition(patient_of):
            return candidate
    return None


def _candidates(stems: Iterable[str]) -> Iterable[str]:
    named = {match[0].rstrip("0123456789") for stem in stems if (match := _PATIENT.search(stem))}
    yield from (rf"(?P<patient>{re.escape(word)}\d+)" for word in sorted(named))
    yield r"^(?P<patient>.+?)[-_. ]?(?:frame|frm|fr|f|slice|sl|t)[-_. ]?\d+$"
    yield r"^(?P<patient>.+?)[-_. ]?\d+$"
    yield r"^(?P<patient>[^-_. ]+)[-_. ]"


def _partition(patient_of: Mapping[str, str]) -> set[frozenset[str]]:
    groups: dict[str, set[str]] = {}
    for stem, patient in patient_of.items():
        groups.setdefault(patient, set()).add(stem)
    return {frozenset(one) for one in groups.values()}
