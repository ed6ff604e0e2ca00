"""Patients to train, validation and test; no patient is ever in two."""

import hashlib
from collections.abc import Iterable, Mapping

from fedefm.data.manifest import FILE_NAME, SPLIT_NAMES, Manifest
from fedefm.errors import DataError

VAL_SHARE = 0.15
TEST_SHARE = 0.25


def assign_splits(manifest: Manifest, patients: Iterable[str]) -> dict[str, str]:
    """The split (`train`, `val` or `test`) of each patient, as stated in the manifest or else by hash.

    Raises:
        DataError: where the manifest's splits leave out a patient of the folder or name one it does not have.
    """
    present = set(patients)
    if manifest.splits is None:
        return split_by_hash(present)
    return _as_stated(manifest.splits, present)


def split_by_hash(patients: Iterable[str]) -> dict[str, str]:
    """Patients 60 / 15 / 25 to train, val and test, in the order of the SHA-256 of their names.

    The order depends on the names alone, so a folder copied elsewhere is split alike. With few patients the first goes
    to train, the second to test and the third to val.
    """
    order = sorted(set(patients), key=lambda name: hashlib.sha256(name.encode()).digest())
    test = max(1, round(TEST_SHARE * len(order))) if len(order) > 1 else 0
    val = max(1, round(VAL_SHARE * len(order))) if len(order) > 2 else 0
    train = len(order) - test - val
    return dict(zip(order, ["train"] * train + ["test"] * test + ["val"] * val, strict=True))


def _as_stated(splits: Mapping[str, tuple[str, ...]], present: set[str]) -> dict[str, str]:
    stated = {patient: split for split in SPLIT_NAMES for patient in splits[split]}
    if unknown := sorted(set(stated) - present):
        raise DataError(f"{FILE_NAME}: splits names patient {unknown[0]!r}, who has no image; correct or remove it")
    if missing := sorted(present - set(stated)):
        raise DataError(f"{FILE_NAME}: patient {missing[0]!r} is in no split; add it to train, val or test")
    return stated
