"""The fuzzer of the readers: its seeds are read, a few spoilt files are, and what is wrong is told."""

import random
from pathlib import Path

import pytest
from benchmarks.fuzz_readers import fuzz, spoil

from fedefm.data.readers import READERS, read_image, read_mask
from fedefm.errors import DataError
from support.reader_seeds import write_seeds


def test_every_format_has_a_seed_that_is_read(tmp_path: Path) -> None:
    seeds = write_seeds(tmp_path)
    assert {read_image(path).format for path in seeds if path.name != "v.dcm"} == {reader.format for reader in READERS}
    for path in seeds:
        if path.name in ("g.jpg", "x.dcm"):
            with pytest.raises(DataError, match="a mask in JPEG"):
                read_mask(path)
        else:
            read_mask(path)


def test_the_same_seed_spoils_alike() -> None:
    data = bytes(range(200))
    assert spoil(data, [data], random.Random(1)) == spoil(data, [data], random.Random(1)) != data


@pytest.mark.slow
def test_a_short_run_finds_nothing(tmp_path: Path) -> None:
    assert fuzz(write_seeds(tmp_path), 5, 0, None) == {}
