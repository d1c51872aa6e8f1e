"""How a notebook shows a dataset: its columns as a small table, with thumbnails of image columns."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from ._errors import DlcacheError
from ._facts import ColumnFacts, column_facts
from ._values import Strings

if TYPE_CHECKING:
    from ._dataset import Dataset

THUMBNAILS = 6
"""So many of the first rows of an image column are shown."""
IMAGE_BYTES = 256 << 10
"""Larger images are not put into the page."""

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)


def dataset_html(dataset: Dataset) -> str:
    """A dataset as HTML. Reads the first rows of binary columns that lie on a local file system, nothing else."""
    manifest = dataset.manifest
    head = (
        f"<b>dlcache dataset</b> <code>{escape(dataset.path)}</code><br>"
        f"version {dataset.version}, {len(dataset):,} rows, {manifest.bytes / 1e6:,.1f} MB in "
        f"{len(manifest.shards):,} shards, {manifest.plan_key.scope} key <code>{dataset.key[:12]}</code>"
    )
    facts = [column_facts(manifest, name) for name in dataset.columns]
    rows = "".join(_row(dataset, fact) for fact in facts)
    titles = "".join(f"<th>{title}</th>" for title in ("column", "type", "storage", "shape", "nulls", ""))
    return f"<div>{head}<table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table></div>"


def _row(dataset: Dataset, fact: ColumnFacts) -> str:
    cells = (fact.name, fact.type, fact.storage, fact.shape, f"{fact.nulls:,}")
    plain = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f"<tr>{plain}<td>{_thumbnails(dataset, fact.name)}</td></tr>"


def _thumbnails(dataset: Dataset, name: str) -> str:
    """The first images of a column, or nothing if it has none."""
    column = dataset.manifest.column(name)
    if column.storage != "binary" or dataset.store.local is None or not len(dataset):
        return ""
    if column.lengths is not None and column.lengths[0] > IMAGE_BYTES:
        return ""
    try:
        positions = np.arange(min(THUMBNAILS, len(dataset)))
        values = dataset.gather(positions, [name], nulls={name: b""} if column.nulls else "error")[name]
    except DlcacheError as error:
        return f"<i>{escape(str(error))}</i>"
    if not isinstance(values, Strings):
        return ""
    return "".join(_image(value) for value in values.to_numpy())


def _image(data: bytes) -> str:
    kind = next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)
    if kind is None or len(data) > IMAGE_BYTES:
        return ""
    return f'<img style="height:48px" src="data:{kind};base64,{base64.b64encode(data).decode("ascii")}">'
