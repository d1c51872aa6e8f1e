"""The peers: each reads the same rows in the way that its own documentation shows, in one process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.limits import Blobs, batches_of_ids, to_torch
from benchmarks.tables import table, write_parquet
from benchmarks.workloads import EMBEDDING, FLOATS, INTS, Array, Batch, decode, mapped

WINDOW = 10_000  # rows of a shuffling buffer, for those that have no full shuffle
SUPER_BATCH = 16  # batches of one random access, for those that have only that


class Peer:
    """A workload, its directory, and how many rows of it are read."""

    def __init__(self, workload: str, directory: Path, rows: int, options: Mapping[str, str]) -> None:
        self.workload, self.directory, self.rows, self.options = workload, directory, rows, options

    def own(self, name: str) -> Path:
        """The peer's own files: they hold its rows and no others, so their number is in their name."""
        return self.directory / f"{name}-{self.rows}"


class PyArrow(Peer):
    """`ParquetFile.iter_batches`; lists of one length are reshaped, columns are stacked. In order only."""

    def prepare(self) -> None:
        write_parquet(self.workload, self.directory, self.rows, self.own("parquet"))

    def epoch(self, shuffle: bool, batch_size: int, seed: int) -> Iterator[Batch]:
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.own("parquet") / "part-0.parquet") as file:
            for batch in file.iter_batches(batch_size):
                yield from_arrow(self.workload, batch)


def from_arrow(workload: str, batch: Any) -> Batch:
    """An Arrow record batch → a batch of the workload, in bulk."""

    def flat(column: Any) -> Array:
        values: Array = column.flatten().to_numpy(zero_copy_only=False)
        return values if values.flags.writeable else values.copy()

    def values(name: str) -> Array:
        array: Array = batch.column(name).to_numpy(zero_copy_only=False)
        return array if array.flags.writeable else array.copy()

    if workload == "embeddings":
        return to_torch({"features": flat(batch.column("features")).reshape(-1, EMBEDDING), "label": values("label")})
    if workload == "tabular":
        floats = np.stack([values(f"f{n}") for n in range(FLOATS)], axis=1)
        return to_torch({"floats": floats, "ints": np.stack([values(f"i{n}") for n in range(INTS)], axis=1)})
    if workload == "ragged":
        tokens = batch.column("tokens")
        return to_torch({"tokens": padded(tokens.to_numpy(zero_copy_only=False)), "label": values("label")})
    return {"image": batch.column("image").to_pylist(), **to_torch({"label": values("label")})}


def padded(rows: Sequence[Array]) -> Array:
    lengths = [len(row) for row in rows]
    out = np.zeros((len(lengths), max(lengths)), np.int32)
    for slot, row, length in zip(out, rows, lengths, strict=True):
        slot[:length] = row
    return out


def _stacked(workload: str, batch: Batch) -> Batch:
    """A batch with one tensor for each column of a table → two matrices, as the other contestants deliver it."""
    import torch

    if workload != "tabular":
        return batch
    return {
        "floats": torch.stack([batch[f"f{n}"] for n in range(FLOATS)], dim=1),
        "ints": torch.stack([batch[f"i{n}"] for n in range(INTS)], dim=1),
    }


class Lance(Peer):
    """`to_batches` in order; `take` of the epoch's permutation, sixteen batches at once, shuffled."""

    def prepare(self) -> None:
        import lance
        import pyarrow as pa

        if self.own("lance").exists():
            return
        rows = table(self.workload, self.directory, 0, self.rows)
        if self.workload == "embeddings":
            fixed = pa.FixedSizeListArray.from_arrays(rows["features"].combine_chunks().flatten(), EMBEDDING)
            rows = rows.set_column(0, "features", fixed)
        lance.write_dataset(rows, str(self.own("lance")))

    def epoch(self, shuffle: bool, batch_size: int, seed: int) -> Iterator[Batch]:
        import lance

        dataset = lance.dataset(str(self.own("lance")))
        if not shuffle:
            for batch in dataset.to_batches(batch_size=batch_size):
                yield from_arrow(self.workload, batch)
            return
        for ids in batches_of_ids(self.rows, batch_size * SUPER_BATCH, seed):
            for batch in dataset.take(ids).combine_chunks().to_batches(max_chunksize=batch_size):
                yield from_arrow(self.workload, batch)


class HuggingFace(Peer):
    """`datasets` from Parquet, in PyTorch's `DataLoader` (map-style, so a full shuffle), or its `iter` in order."""

    def prepare(self) -> None:
        write_parquet(self.workload, self.directory, self.rows, self.own("parquet"))

    def epoch(self, shuffle: bool, batch_size: int, seed: int) -> Iterator[Batch]:
        import datasets
        import torch
        from torch.utils.data import DataLoader

        datasets.disable_progress_bars()
        dataset = datasets.Dataset.from_parquet(
            str(self.own("parquet") / "*.parquet"), cache_dir=str(self.own("huggingface"))
        )
        form = "numpy" if self.workload in ("ragged", "images") else "torch"
        dataset = dataset.with_format(form)
        if not shuffle:
            return (_stacked(self.workload, batch) for batch in dataset.iter(batch_size))
        generator = torch.Generator().manual_seed(seed)
        return iter(DataLoader(dataset, batch_size, shuffle=True, generator=generator, collate_fn=self._collate))

    def _collate(self, rows: list[Batch]) -> Batch:
        from torch.utils.data import default_collate

        if self.workload == "ragged":
            tokens = padded([row["tokens"] for row in rows])
            return to_torch({"tokens": tokens, "label": np.array([row["label"] for row in rows])})
        if self.workload == "images":
            labels = np.array([row["label"] for row in rows])
            return {"image": [row["image"] for row in rows], **to_torch({"label": labels})}
        return _stacked(self.workload, default_collate(rows))


class Petastorm(Peer):
    """`make_batch_reader` and one of Petastorm's two loaders; shuffled is its window of 10,000 rows over row groups."""

    def prepare(self) -> None:
        write_parquet(self.workload, self.directory, self.rows, self.own("parquet"))

    def epoch(self, shuffle: bool, batch_size: int, seed: int) -> Iterator[Batch]:
        from petastorm import make_batch_reader, pytorch

        loader = getattr(pytorch, self.options["loader"])
        reader = make_batch_reader(
            self.own("parquet").resolve().as_uri(), num_epochs=1, workers_count=2, shuffle_row_groups=shuffle, seed=seed
        )
        with loader(reader, batch_size=batch_size, shuffling_queue_capacity=WINDOW if shuffle else 0) as batches:
            for batch in batches:
                yield _stacked(self.workload, batch)


class MosaicStreaming(Peer):
    """MDS shards on the local disk, `StreamingDataset` with its default shuffle, `StreamingDataLoader`."""

    encodings: Mapping[str, Mapping[str, str]] = {
        "embeddings": {"features": f"ndarray:float32:{EMBEDDING}", "label": "int64"},
        "ragged": {"tokens": "ndarray:int32", "label": "int64"},
        "images": {"image": "bytes", "label": "int64"},
    }

    def __init__(self, workload: str, directory: Path, rows: int, options: Mapping[str, str]) -> None:
        super().__init__(workload, directory, rows, options)
        self.datasets: dict[tuple[bool, int], Any] = {}

    def prepare(self) -> None:
        from streaming import MDSWriter

        if self.own("mds").exists():
            return
        with MDSWriter(out=str(self.own("mds")), columns=dict(self.encodings[self.workload])) as out:
            for row in self._rows():
                out.write(row)

    def _rows(self) -> Iterable[dict[str, Any]]:
        label = mapped(self.directory, "label")
        if self.workload == "embeddings":
            features = mapped(self.directory, "features")
            return ({"features": features[row], "label": int(label[row])} for row in range(self.rows))
        if self.workload == "ragged":
            tokens, offsets = mapped(self.directory, "tokens"), mapped(self.directory, "offsets")
            return (
                {"tokens": tokens[offsets[row] : offsets[row + 1]], "label": int(label[row])}
                for row in range(self.rows)
            )
        files = Blobs(self.workload, self.directory, self.rows, {}).files(np.arange(self.rows))
        return ({"image": file, "label": int(label[row])} for row, file in enumerate(files))

    def epoch(self, shuffle: bool, batch_size: int, seed: int) -> Iterator[Batch]:
        from streaming import StreamingDataLoader, StreamingDataset
        from streaming.base.util import clean_stale_shared_memory

        if (shuffle, batch_size) not in self.datasets:
            clean_stale_shared_memory()
            self.datasets[shuffle, batch_size] = StreamingDataset(
                local=str(self.own("mds")), shuffle=shuffle, batch_size=batch_size, shuffle_seed=seed
            )
        collate = None if self.workload == "embeddings" else self._collate
        dataset = self.datasets[shuffle, batch_size]
        return iter(StreamingDataLoader(dataset, batch_size=batch_size, collate_fn=collate))

    def _collate(self, rows: list[dict[str, Any]]) -> Batch:
        label = to_torch({"label": np.array([row["label"] for row in rows])})
        if self.workload == "images":
            return {"image": [row["image"] for row in rows], **label}
        return to_torch({"tokens": padded([row["tokens"] for row in rows])}) | label


class ImageFiles(Peer):
    """One file for each picture and PyTorch's `DataLoader` with two worker processes: what most scripts do."""

    def prepare(self) -> None:
        if self.own("files").exists():
            return
        self.own("files").mkdir()
        offsets = mapped(self.directory, "offsets")
        with open(self.directory / "blob.bin", "rb") as blob:
            for row, size in enumerate(np.diff(offsets[: self.rows + 1]).tolist()):
                (self.own("files") / f"{row}.jpg").write_bytes(blob.read(size))

    def epoch(self, shuffle: bool, batch_size: int, seed: int) -> Iterator[Batch]:
        import torch
        from torch.utils.data import DataLoader

        loader: DataLoader[Any] = DataLoader(
            self,  # type: ignore[arg-type]
            batch_size,
            shuffle=shuffle,
            generator=torch.Generator().manual_seed(seed),
            num_workers=2,
        )
        return iter(loader)

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, row: int) -> dict[str, Any]:
        file = (self.own("files") / f"{row}.jpg").read_bytes()
        return {"image": decode([file])[0], "label": row}
