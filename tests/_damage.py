"""Datasets as an attacker would send them: what may happen to whoever opens one, and the ways to damage one."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import dlcache
from dlcache._manifest import Manifest, parse
from dlcache._maps import ShardMaps
from dlcache._shards import ShardReader
from dlcache._store import Store

GOLDEN = Path(__file__).parent / "golden"
NAMES = ("tensors", "ragged", "strings", "scalars", "nested", "names", "unsealed", "vectors", "versions")

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, "", "x", "../x", "data/../../x", "\0", "Infinity", [], {}, [[]], {"type": "struct"}),
    *(-1, 0, 1, 2, 3, 7, 64, 4096, 1 << 31, (1 << 31) - 1, 1 << 32, 1 << 47, 1 << 53, (1 << 63) - 1, 1 << 63, 1 << 80),
    *(-(1 << 63), -(1 << 70), 0.0, 0.5, -1.5, 1e308, 1e-308, [0], [-1], [1 << 31], [1, 2, 3], ["x"], "9" * 5000),
)
"""What takes the place of a member."""


def manifest_text(name: str) -> bytes:
    """The newest manifest of a golden dataset."""
    return max((GOLDEN / name / "_dlcache").glob("*.json")).read_bytes()


def without_checksum(text: bytes) -> bytes:
    """A manifest's text as old writers wrote it: a reader looks at what is in it."""
    document = json.loads(text)
    document.pop("sha256", None)
    return json.dumps(document, separators=(",", ":")).encode()


def places(node: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the members of a JSON document are, all of them."""
    if at:
        yield at
    members = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in members:
        yield from places(child, (*at, key))


def replaced(document: Any, at: tuple[Any, ...], value: Any) -> Any:
    """The document with one member replaced. Changes the document itself."""
    parent = document
    for key in at[:-1]:
        parent = parent[key]
    parent[at[-1]] = copy.deepcopy(value)
    return document


def use(manifest: Manifest, root: Path) -> None:
    """Do with a manifest what users do. Whatever is wrong with it or with the shards of `root` is a DlcacheError."""
    dataset = dlcache.Dataset(Store.of(root), manifest)
    for attempt in (
        lambda: repr(dataset),
        lambda: dataset._repr_html_(),
        lambda: [dataset.stats(name) for name in dataset.columns],
        lambda: str(dataset.explain()),
        lambda: dataset.verify(pages=True).to_dict(),
        lambda: _read(dataset),
    ):
        try:
            attempt()
        except dlcache.DlcacheError as error:
            assert str(error)


def _read(dataset: dlcache.Dataset) -> None:
    rows = len(dataset)
    positions = np.unique(np.array([0, rows // 2, rows - 1, min(rows - 1, 5)])) if rows else np.empty(0, np.int64)
    reader = ShardReader(dataset.manifest, dataset.store)
    assert isinstance(reader.maps, ShardMaps)
    for name in dataset.columns:
        try:
            dataset.gather(positions, [name], nulls="mask")
            next(iter(dataset.numpy(4, columns=[name], nulls="mask", threads=0)), None)
        except dlcache.DlcacheError as error:
            assert str(error)


def use_text(text: bytes, root: Path) -> bool:
    """`use` for a manifest's text; False if it is no manifest, which a ManifestError says."""
    try:
        manifest = parse(text, "here")
    except dlcache.ManifestError as error:
        assert "here" in str(error)
        return False
    use(manifest, root)
    return True


def damaged(text: bytes, seed: bytes) -> bytes:
    """A manifest's text after the damage that `seed` tells: members replaced, then bytes."""
    document = json.loads(without_checksum(text))
    numbers = iter(seed)
    for _ in range(1 + next(numbers, 0) % 3):
        known = list(places(document))
        where = known[(next(numbers, 0) << 16 | next(numbers, 0) << 8 | next(numbers, 0)) % len(known)]
        document = replaced(document, where, HOSTILE[next(numbers, 0) % len(HOSTILE)])
    changed = bytearray(json.dumps(document).encode())
    while (first := next(numbers, None)) is not None:
        at = (first << 16 | next(numbers, 0) << 8 | next(numbers, 0)) % len(changed)
        changed[at] = next(numbers, 0)
    return bytes(changed)
