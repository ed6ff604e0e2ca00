"""Models of any size are signed and verified in a stream: flat memory, and limits that come before the first byte."""

import json
import multiprocessing
import resource
import time
from pathlib import Path

import pytest

from fedefm.errors import TrustError
from fedefm.trust import JOB_ROLES, Limits, sign_folder, verify_folder
from fedefm.trust.kinds import TEXT
from fedefm.trust.listing import MAX_JSON_BYTES
from support.consortium_certificates import Authority

LARGE = 700_000_000
MEGABYTE = 1_000_000


def sparse_weights(path: Path, size: int) -> None:
    """A safetensors file of one tensor of zeros that takes no room on the disk."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)


def _sign_and_verify(
    folder: Path, certificate: Path, key: Path, root: Path, told: "multiprocessing.SimpleQueue"
) -> None:
    def megabytes() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    before, begin = megabytes(), time.monotonic()
    sign_folder(folder, certificate, key, kind="model", subject=folder.name)
    signed = verify_folder(folder, root, kind="model", roles=JOB_ROLES, subject=folder.name)
    told.put((signed.files[0].size, megabytes() - before, time.monotonic() - begin))


def test_700_megabytes_are_signed_and_verified_in_flat_memory(tmp_path: Path) -> None:
    consortium, folder = Authority(), tmp_path / "theta"
    folder.mkdir()
    sparse_weights(folder / "theta.safetensors", LARGE)
    certificate, key = consortium.issue("lead@x.example", "lead").write(tmp_path, "lead")
    root, _ = consortium.root.write(tmp_path, "root")
    context = multiprocessing.get_context("spawn")
    told = context.SimpleQueue()
    process = context.Process(target=_sign_and_verify, args=(folder, certificate, key, root, told))
    process.start()
    process.join(200)
    size, grown, seconds = told.get()
    (folder / "theta.safetensors").unlink()
    print(f"{size / MEGABYTE:.0f} MB signed and verified in {seconds:.1f} s, {grown:.1f} MB of memory")
    assert size > LARGE and grown < 20


def signed_models(consortium: Authority, folder: Path, size: int) -> None:
    folder.mkdir()
    sparse_weights(folder / "theta.safetensors", size)
    lead = consortium.issue("lead@x.example", "lead")
    sign_folder(folder, lead.certificate, lead.key, kind="model", subject=folder.name)


@pytest.mark.parametrize(("files", "megabytes", "taken"), [(1, 101, True), (1, 99, False), (0, 101, False)])
def test_whoever_verifies_sets_the_limit(files: int, megabytes: int, taken: bool, tmp_path: Path) -> None:
    consortium = Authority()
    signed_models(consortium, tmp_path / "theta", 100 * MEGABYTE)
    limits, root = Limits(files, megabytes * MEGABYTE), consortium.root.certificate

    def verify() -> None:
        verify_folder(tmp_path / "theta", root, kind="model", roles=JOB_ROLES, limits=limits)

    if taken:
        verify()
        return
    with pytest.raises(TrustError, match="the most that a model may hold"):
        verify()


def test_a_changed_byte_at_the_end_of_a_large_file_is_found(tmp_path: Path) -> None:
    consortium = Authority()
    signed_models(consortium, tmp_path / "theta", 100 * MEGABYTE)
    with (tmp_path / "theta" / "theta.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\1")
    with pytest.raises(TrustError, match=r"theta.safetensors: changed"):
        verify_folder(tmp_path / "theta", consortium.root.certificate, kind="model", roles=JOB_ROLES)


@pytest.mark.parametrize("kind", ["kit", "job"])
def test_kits_and_jobs_stay_text(kind: str, tmp_path: Path) -> None:
    consortium, folder = Authority(), tmp_path / "folder"
    folder.mkdir(mode=0o700)
    sparse_weights(folder / "weights.bin", TEXT.bytes)
    (folder / "weights.bin").chmod(0o600)
    with pytest.raises(TrustError, match=f"the most that a {kind} may hold"):
        sign_folder(folder, consortium.root.certificate, consortium.root.key, kind=kind, subject="x")


def test_a_jobs_settings_that_are_held_in_memory_are_short(tmp_path: Path) -> None:
    consortium, folder = Authority(), tmp_path / "app"
    folder.mkdir()
    (folder / "config.json").write_text('"' + "x" * MAX_JSON_BYTES + '"')
    lead = consortium.issue("lead@x.example", "lead")
    with pytest.raises(TrustError, match=r"config.json: more than"):
        sign_folder(folder, lead.certificate, lead.key, kind="job", subject="x")
