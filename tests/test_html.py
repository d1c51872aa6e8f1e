"""How a notebook shows a dataset."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest
from _writer import write

import dlcache
from dlcache._html import IMAGE_BYTES, THUMBNAILS

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"
JPEG = b"\xff\xd8\xff\xe0" + b"pixels"


class Page(HTMLParser):
    """Collects the cells, the images, and checks that what opens is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.images: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attrs)["src"] or "")
        elif tag != "br":
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["td"]:
            self.cells[-1] += data


def page(tmp_path: Path, **columns: pa.Array) -> Page:
    return Page(dlcache.load(write(tmp_path / "d<i>r", pa.table(columns)))._repr_html_())


def test_columns_and_thumbnails(tmp_path: Path) -> None:
    html = page(
        tmp_path,
        image=pa.array([PNG, JPEG, None, b"neither", PNG, JPEG, PNG, PNG]),
        vector=pa.array([[1.0, 2.0]] * 8, pa.list_(pa.float32())),
    )
    assert html.cells == [
        "image",
        "binary",
        "binary",
        "7 .. 14 bytes",
        "1",
        "",
        "vector",
        "float32",
        "tensor",
        "[2]",
        "0",
        "",
    ]
    kinds = [image.partition(";")[0] for image in html.images]
    assert kinds == ["data:image/png", "data:image/jpeg", "data:image/png", "data:image/jpeg"]
    assert len(kinds) <= THUMBNAILS


def test_names_are_escaped(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>"
    assert page(tmp_path, **{name: pa.array([1])}).cells[0] == name


def test_large_images_and_no_rows(tmp_path: Path) -> None:
    assert page(tmp_path / "large", image=pa.array([PNG + bytes(IMAGE_BYTES)])).images == []
    assert page(tmp_path / "none", image=pa.array([], pa.binary())).images == []


def test_a_missing_shard_is_said(tmp_path: Path) -> None:
    loaded = dlcache.load(write(tmp_path / "d", pa.table({"image": pa.array([PNG])})))
    next((tmp_path / "d" / "data").iterdir()).unlink()
    with pytest.raises(dlcache.ShardError):
        loaded.gather([0])
    assert "is missing" in loaded._repr_html_()
