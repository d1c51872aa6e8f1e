"""Files at addresses of our choice, and the rows of many shards as one array."""

from __future__ import annotations

import gc
import mmap
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcache import _mapping
from dlcache._mapping import map_at_multiple
from dlcache._memory import address_of

here = pytest.mark.skipif(sys.platform != "linux", reason="addresses are chosen on Linux only")


@here
@given(
    size=st.integers(1, 3 * mmap.PAGESIZE + 1),
    factor=st.sampled_from([1, 2, 3, 25, 75, 1 << 10]),
    seed=st.integers(0, 9),
)
def test_a_file_is_where_it_should_be_with_what_is_in_it(size: int, factor: int, seed: int) -> None:
    content = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    with tempfile.TemporaryFile() as file:
        file.write(content.tobytes())
        file.flush()
        mapped = [map_at_multiple(file.fileno(), size, factor * mmap.PAGESIZE) for _ in range(3)]
        private = map_at_multiple(file.fileno(), size, factor * mmap.PAGESIZE, private=True)
    assert private.flags.writeable and np.array_equal(private, content)
    private[:] = 7
    for one in mapped:
        assert address_of(one) % (factor * mmap.PAGESIZE) == 0
        assert not one.flags.writeable and np.array_equal(one, content)


def test_where_no_address_can_be_chosen_the_kernel_chooses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_mapping, "_LIBRARY", None)
    (tmp_path / "file").write_bytes(b"abc")
    with open(tmp_path / "file", "rb") as file:
        assert map_at_multiple(file.fileno(), 3, 3 * mmap.PAGESIZE).tobytes() == b"abc"


def mappings(path: Path) -> int:
    return Path("/proc/self/maps").read_text().count(str(path))


@here
def test_a_mapping_goes_with_its_last_view(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 1000)
    descriptor = os.open(path, os.O_RDONLY)
    mapped = map_at_multiple(descriptor, 10_000, 3 * mmap.PAGESIZE)
    os.close(descriptor)
    assert mappings(path) == 1
    view = mapped[5000:5010]
    del mapped
    gc.collect()
    assert view.tobytes() == b"0123456789" and mappings(path) == 1
    del view
    gc.collect()
    assert mappings(path) == 0


@here
def test_what_cannot_be_mapped_is_an_error_and_leaves_no_address_space(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    before = len(Path("/proc/self/maps").read_text().splitlines())
    try:
        with pytest.raises(OSError, match="No such device"):
            map_at_multiple(descriptor, 10, 3 * mmap.PAGESIZE)
    finally:
        os.close(descriptor)
    assert len(Path("/proc/self/maps").read_text().splitlines()) <= before + 1
