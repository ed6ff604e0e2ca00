"""A renewed kit takes the place of the old one with what must outlive it; nothing changes where it may not."""

import stat
import zipfile
from pathlib import Path

import pytest

from fedefm.cli import main
from fedefm.errors import ConfigError, FedefmError, TrustError
from fedefm.federation.membership import pack
from fedefm.kits.kit import Kit, open_kit
from fedefm.kits.renewal import KEPT, renew
from fedefm.resources import shipped
from fedefm.trust import sign_folder
from fedefm.trust.ledger import JOBS, Ledger
from support.consortium_certificates import Authority, Pair
from support.kits import write_kit


@pytest.fixture(scope="module")
def consortium() -> Authority:
    return Authority()


def signed(folder: Path, consortium: Authority, own: Pair, name: str = "hospital-a", *, key: bool = True) -> Kit:
    kit = write_kit(folder, consortium, own, name)
    kit.local.mkdir()
    (kit.local / "privacy.json").write_text("{}")
    if not key:
        kit.key.unlink()
    sign_folder(folder, consortium.root.certificate, consortium.root.key, kind="kit", subject=name)
    return kit


def zipped(folder: Path, kit: Kit) -> Path:
    return pack(kit.folder, folder)


@pytest.fixture
def own(consortium: Authority) -> Pair:
    return consortium.issue("hospital-a")


@pytest.fixture
def kit(tmp_path: Path, consortium: Authority, own: Pair) -> Kit:
    made = signed(tmp_path / "site" / "hospital-a", consortium, own)
    (made.local / "fedefm_site.json").write_text('{"data": "/srv"}')
    Ledger(made.folder, JOBS).append("launched", name="round-1")
    (made.folder / "fedefm-outbox.jsonl.000001").write_text("closed\n")
    (made.folder / "fedefm-waiting" / "one").mkdir(parents=True)
    return made


@pytest.fixture
def archive(tmp_path: Path, consortium: Authority) -> Path:
    return zipped(tmp_path, signed(tmp_path / "new" / "hospital-a", consortium, consortium.issue("hospital-a")))


def test_what_must_outlive_a_kit_goes_with_it(kit, archive, capsys):
    before, head = kit.certificate.read_bytes(), (kit.folder / f"{JOBS}.head").read_bytes()
    assert main(["site", "renew", str(kit.folder), str(archive)]) == 0
    said = capsys.readouterr().out
    assert "hospital-a.old: the old one, with its key" in said and "next: fedefm doctor" in said
    new = open_kit(kit.folder)
    assert new.certificate.read_bytes() != before
    assert kit.folder.with_name("hospital-a.old").joinpath("startup/client.crt").read_bytes() == before
    assert (new.local / "fedefm_site.json").read_text() == '{"data": "/srv"}'
    assert (new.folder / f"{JOBS}.head").read_bytes() == head and len(Ledger(new.folder, JOBS).read()) == 1
    assert (new.folder / "fedefm-outbox.jsonl.000001").is_file() and (new.folder / "fedefm-waiting" / "one").is_dir()
    assert {path.name for path in kit.folder.parent.iterdir()} == {"hospital-a", "hospital-a.old"}
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in (new.folder, new.startup, new.key))


def test_a_second_renewal_does_not_write_over_the_first_old_kit(kit, archive):
    renew(kit, archive)
    with pytest.raises(ConfigError, match=r"hospital-a.old: is there from an earlier renewal; delete it"):
        renew(kit, archive)


def test_a_site_that_made_its_own_key_keeps_it(kit, tmp_path, consortium):
    again = consortium.issue("hospital-a")  # a new certificate for the same key
    archive = zipped(tmp_path, signed(tmp_path / "new" / "hospital-a", consortium, again, key=False))
    key = kit.key.read_bytes()
    renew(kit, archive)
    assert open_kit(kit.folder).key.read_bytes() == key


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("other", r"the kit of hospital-b, and .* is that of hospital-a"),
        ("same", "holds the certificate that .* has; ask for one that was renewed"),
        ("foreign", "signature|signed|issued"),
        ("keyless", "client.crt.*key|key.*client.crt"),
        ("text", "cannot be unpacked .BadZipFile"),
        ("empty", "holds no kit"),
    ],
)
def test_nothing_changes_where_the_zip_is_not_this_sites_new_kit(case, words, kit, own, tmp_path, consortium):
    place = tmp_path / "new" / "hospital-a"
    if case == "text":
        archive = tmp_path / "some.zip"
        archive.write_text("no zip")
    elif case == "empty":
        archive = tmp_path / "some.zip"
        zipfile.ZipFile(archive, "w").close()
    else:
        authority = Authority("another") if case == "foreign" else consortium
        name = "hospital-b" if case == "other" else "hospital-a"
        pair = own if case == "same" else authority.issue(name)
        archive = zipped(tmp_path, signed(place, authority, pair, name, key=case != "keyless"))
    if case == "keyless":
        consortium.issue("hospital-b").write(kit.startup, "client")
        own.write(tmp_path, "own")[0].replace(kit.certificate)
    before = {path: path.read_bytes() for path in kit.folder.rglob("*") if path.is_file()}
    with pytest.raises((ConfigError, TrustError), match=words) as raised:
        renew(kit, archive)
    assert isinstance(raised.value, FedefmError) and "\n" not in str(raised.value)
    assert {path: path.read_bytes() for path in kit.folder.rglob("*") if path.is_file()} == before
    assert [path.name for path in kit.folder.parent.iterdir()] == ["hospital-a"]


def test_a_pod_keeps_the_same_files() -> None:
    """`kit.sh` cannot ask this package: it works before the program is started."""
    script = (shipped("provisioning", "kubernetes") / "kit.sh").read_text()
    listed = script.partition("for kept in ")[2].partition("; do")[0].replace("\\\n", " ").split()
    assert sorted(listed) == sorted(KEPT)
