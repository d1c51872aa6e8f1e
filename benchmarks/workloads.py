"""The data of the benchmarks: made from a seed, kept as plain arrays, and checked in what comes out of a loader.

Every row carries its own number, so a delivered batch can be proved: `ids` says which rows it holds, `check` that their
values are theirs, and `proof` that an epoch held each row once.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Batch = dict[str, Any]

EMBEDDING = 768
FLOATS, INTS = 100, 20
SHORTEST, LONGEST = 16, 512
IMAGE_SIDE = 224
STRIDE = 64  # bytes of a cache line: a consumer that reads one value of each has had the whole batch in its cache


class Workload(Protocol):
    """What is read or written. `make` fills a directory; `load` maps it; the others look at delivered batches."""

    def make(self, directory: Path, rows: int) -> None: ...
    def ids(self, batch: Batch) -> Array: ...
    def check(self, batch: Batch) -> bool: ...
    def touch(self, batch: Batch) -> None: ...


def mapped(directory: Path, name: str) -> Array:
    """The array `name` of a workload as a map of its file. Writable and private, as PyTorch wants it."""
    array: Array = np.load(directory / f"{name}.npy", mmap_mode="c")
    return array.view(np.ndarray)


def numpy_of(values: Any) -> Array:
    """A NumPy view of a torch tensor, an eager TensorFlow tensor or an array."""
    return values if isinstance(values, np.ndarray) else np.asarray(values.numpy())


def touch_array(values: Any) -> None:
    """Reads one value of every cache line."""
    flat = numpy_of(values).reshape(-1)
    flat[:: STRIDE // flat.itemsize].sum()


class Embeddings:
    """`features` float32[768], `label` int64 (the row's number). `features[0]` repeats the row's number."""

    def make(self, directory: Path, rows: int) -> None:
        features = np.lib.format.open_memmap(
            directory / "features.npy", mode="w+", dtype=np.float32, shape=(rows, EMBEDDING)
        )
        random = np.random.default_rng(1)
        for start in range(0, rows, 10_000):
            part = features[start : start + 10_000]
            random.standard_normal(dtype=np.float32, out=part)
        features[:, 0] = features[:, -1] = np.arange(rows)
        np.save(directory / "label.npy", np.arange(rows))

    def ids(self, batch: Batch) -> Array:
        return numpy_of(batch["label"])

    def check(self, batch: Batch) -> bool:
        features, label = numpy_of(batch["features"]), self.ids(batch)
        return (
            features.shape == (len(label), EMBEDDING)
            and features.dtype == np.float32
            and bool((features[:, 0] == label).all() and (features[:, -1] == label).all())
        )

    def touch(self, batch: Batch) -> None:
        touch_array(batch["features"])


class Tabular:
    """100 float32 columns `f0`... and 20 int64 columns `i0`..., delivered as `floats` [B, 100] and `ints` [B, 20]."""

    def make(self, directory: Path, rows: int) -> None:
        random = np.random.default_rng(2)
        floats = random.standard_normal((rows, FLOATS), dtype=np.float32)
        ints = random.integers(0, 1_000_000, (rows, INTS))
        ints[:, 0] = ints[:, -1] = floats[:, 0] = floats[:, -1] = np.arange(rows)
        np.save(directory / "floats.npy", floats)
        np.save(directory / "ints.npy", ints)

    def ids(self, batch: Batch) -> Array:
        return numpy_of(batch["ints"])[:, 0]

    def check(self, batch: Batch) -> bool:
        floats, ints = numpy_of(batch["floats"]), numpy_of(batch["ints"])
        id = ints[:, 0]
        return (
            floats.shape == (len(id), FLOATS)
            and ints.shape == (len(id), INTS)
            and floats.dtype == np.float32
            and ints.dtype == np.int64
            and all(bool((column == id).all()) for column in (ints[:, -1], floats[:, 0], floats[:, -1]))
        )

    def touch(self, batch: Batch) -> None:
        touch_array(batch["floats"])
        touch_array(batch["ints"])


class Images:
    """JPEG files of 10-20 KB as bytes, and `label` int64. Each file names its row in a comment segment.

    The pictures are crops of the two photographs that scikit-learn carries. There are at most 1,000 different ones.
    """

    def make(self, directory: Path, rows: int) -> None:
        files = list(_jpegs(min(rows, 1_000)))
        offsets = np.zeros(rows + 1, np.int64)
        with open(directory / "blob.bin", "wb") as blob:
            for row in range(rows):
                jpeg = files[row % len(files)]
                offsets[row + 1] = offsets[row] + blob.write(jpeg[:2] + _comment(row) + jpeg[2:])
        np.save(directory / "offsets.npy", offsets)
        np.save(directory / "label.npy", np.arange(rows))

    def ids(self, batch: Batch) -> Array:
        return numpy_of(batch["label"])

    def check(self, batch: Batch) -> bool:
        return len(batch["image"]) == len(self.ids(batch)) and all(
            bytes(image[:14]) == b"\xff\xd8" + _comment(label) and bytes(image[-2:]) == b"\xff\xd9"
            for image, label in zip(_bytes_of(batch["image"]), self.ids(batch).tolist(), strict=True)
        )

    def touch(self, batch: Batch) -> None:
        """Nothing: a bytes object is a copy, so its maker has read every byte."""


class Decoded(Images):
    """The same, decoded to uint8 [B, 224, 224, 3]."""

    def check(self, batch: Batch) -> bool:
        images = numpy_of(batch["image"])
        return images.shape == (len(self.ids(batch)), IMAGE_SIDE, IMAGE_SIDE, 3) and bool(
            (images.std((1, 2)) > 1).all()
        )

    def touch(self, batch: Batch) -> None:
        touch_array(batch["image"])


class Ragged:
    """`tokens`: 16 to 512 int32 a row, delivered padded with 0; `label` int64. A row starts with its number."""

    def make(self, directory: Path, rows: int) -> None:
        random = np.random.default_rng(4)
        offsets = np.zeros(rows + 1, np.int64)
        np.cumsum(random.integers(SHORTEST, LONGEST + 1, rows), out=offsets[1:])
        tokens = random.integers(1, 50_000, offsets[-1], dtype=np.int32)
        tokens[offsets[:-1]] = np.arange(rows)
        tokens[offsets[1:] - 1] = offsets[1:] - offsets[:-1]
        np.save(directory / "tokens.npy", tokens)
        np.save(directory / "offsets.npy", offsets)
        np.save(directory / "label.npy", np.arange(rows))

    def ids(self, batch: Batch) -> Array:
        return numpy_of(batch["label"])

    def check(self, batch: Batch) -> bool:
        """The last token of a row is the row's length, and behind it is nothing but 0."""
        tokens, label = numpy_of(batch["tokens"]), self.ids(batch)
        last = (tokens != 0).cumsum(1).argmax(1)
        return bool((tokens[:, 0] == label).all() and (tokens[np.arange(len(label)), last] == last + 1).all())

    def touch(self, batch: Batch) -> None:
        touch_array(batch["tokens"])


WORKLOADS: dict[str, Workload] = {
    "embeddings": Embeddings(),
    "tabular": Tabular(),
    "images": Images(),
    "decoded": Decoded(),
    "ragged": Ragged(),
}
ROWS = {"embeddings": 200_000, "tabular": 400_000, "images": 20_000, "decoded": 4_000, "ragged": 200_000}
QUICK_ROWS = {"embeddings": 20_000, "tabular": 40_000, "images": 2_000, "decoded": 400, "ragged": 20_000}


@dataclass(frozen=True)
class Proof:
    """What the row numbers of one epoch show: `once`, and how well its batches are mixed (1 is a full shuffle)."""

    rows: int
    once: bool
    mix: float


def proof(batches: Sequence[Array], rows: int) -> Proof:
    """`mix` is the mean spread of the row numbers in a batch, as a share of the spread of all row numbers."""
    ids = np.concatenate(batches) if batches else np.empty(0, np.int64)
    once = len(ids) == rows and bool((np.bincount(ids, minlength=rows) == 1).all())
    spreads = [batch.std() for batch in batches if len(batch) > 1]
    return Proof(len(ids), once, float(np.mean(spreads) / np.arange(rows).std()) if spreads else 0.0)


def decode(files: Sequence[Any]) -> Array:
    """JPEG files → uint8 [n, 224, 224, 3], in the calling thread. Pillow decodes without Python's lock."""
    from PIL import Image

    images = np.empty((len(files), IMAGE_SIDE, IMAGE_SIDE, 3), np.uint8)
    for slot, file in zip(images, files, strict=True):
        slot[:] = np.asarray(Image.open(io.BytesIO(file)).convert("RGB").resize((IMAGE_SIDE, IMAGE_SIDE)))
    return images


def _bytes_of(images: Any) -> Sequence[bytes]:
    return images if isinstance(images, list) else [bytes(image) for image in numpy_of(images)]


def _comment(row: int) -> bytes:
    return b"\xff\xfe" + struct.pack(">HQ", 10, row)


def _jpegs(count: int) -> Iterator[bytes]:
    from PIL import Image
    from sklearn.datasets import load_sample_images

    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    random = np.random.default_rng(3)
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        side = int(random.integers(200, 400))
        left, top = (int(random.integers(0, length - side)) for length in photograph.size)
        crop = photograph.crop((left, top, left + side, top + side)).resize((256, 256))
        if random.integers(2):
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        file = io.BytesIO()
        crop.save(file, "JPEG", quality=int(random.integers(70, 90)))
        yield file.getvalue()
