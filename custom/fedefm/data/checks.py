"""Do the hospitals of a run fit together? Asked before any training, by manifests and file headers alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fedefm.data.folder import list_pairs, list_unlabelled
from fedefm.data.manifest import BACKGROUND, FILE_NAME, Manifest, canonical, load_manifest
from fedefm.data.quarantine import MAX_QUARANTINED, check_quarantine
from fedefm.data.readers import read_mask_shape, read_shape
from fedefm.data.splits import assign_splits
from fedefm.errors import DataError


def check_sites(folders: Mapping[str, Path], classes: Sequence[str] | None = None) -> tuple[str, ...]:
    """Check each hospital's folder and agree on the foreground classes.

    Args:
        folders: hospital to its folder.
        classes: the classes to use; None for the sorted union of what the hospitals declare.

    Returns:
        The foreground classes of the run.

    Raises:
        DataError: for the first thing that is wrong, naming the hospital: a folder without images or masks, an image
            without a mask or with one of another size, too many files that cannot be read, a wrong `dataset.json`,
            one class under two names, or a class that is not among the given ones.
    """
    if not folders:
        raise DataError("no hospital was given; name at least one folder")
    manifests = {site: _checked_folder(site, Path(folder)) for site, folder in folders.items()}
    _check_unexplained(
        [site for site, folder in folders.items() if not (Path(folder) / FILE_NAME).is_file()], manifests
    )
    declared = _declared(manifests)
    return tuple(sorted(declared)) if classes is None else _given(classes, declared)


def _checked_folder(site: str, folder: Path) -> Manifest:
    try:
        pairs = list_pairs(folder)
        manifest = load_manifest(folder)
        assign_splits(manifest, [manifest.patient_of(pair.stem) for pair in pairs])
        if manifest.unlabelled:
            list_unlabelled(folder)
        bad: list[DataError] = []
        for pair in pairs:
            try:
                image, mask = read_shape(pair.image), read_mask_shape(pair.mask, pair.image)
            except DataError as error:
                bad.append(error)
                continue
            pair.check_shapes(image, mask)
        check_quarantine(bad, len(pairs), MAX_QUARANTINED)
    except DataError as error:
        raise DataError(f"{site}: {error}") from error
    return manifest


def _check_unexplained(inferred: Sequence[str], manifests: Mapping[str, Manifest]) -> None:
    """A class named after a folder is its hospital's own, even where another folder has the same name."""
    for site in inferred:
        for other, manifest in manifests.items():
            if other != site and (shared := sorted(set(manifest.foreground) & set(manifests[site].foreground))):
                raise DataError(
                    f"{site}: class {shared[0]!r} is named after the folder and so is one of {other}; "
                    f"write a {FILE_NAME} that says what the masks show"
                )


def _declared(manifests: Mapping[str, Manifest]) -> dict[str, str]:
    """Each declared class, with the hospital that declares it first; one spelling for a name."""
    first: dict[str, tuple[str, str]] = {}
    for site, manifest in manifests.items():
        for name in manifest.foreground:
            other_site, other = first.setdefault(canonical(name), (site, name))
            if other != name:
                raise DataError(f"{other_site} says {other!r} and {site} says {name!r}; agree on one name")
    return {name: site for site, name in first.values()}


def _given(classes: Sequence[str], declared: Mapping[str, str]) -> tuple[str, ...]:
    if not classes or BACKGROUND in classes or len({canonical(name) for name in classes}) < len(classes):
        raise DataError(f"classes: name each foreground class once and leave out {BACKGROUND}, not {list(classes)}")
    for name, site in declared.items():
        if name not in classes:
            raise DataError(f"{site}: class {name!r} is not among the given {list(classes)}; add it or rename it")
    return tuple(classes)
