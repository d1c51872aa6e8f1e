"""What is measured: the contestants, the cells of the table and the floors to reach. Values only; nothing runs here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from benchmarks.workloads import ROWS

Kind = Literal["limit", "dlcache", "peer"]


@dataclass(frozen=True)
class Contestant:
    """One way to read a workload.

    maker      `module:Class` in this package; made with the arguments `workload`, `directory` and `options`
    modules    what it imports: left out where one is absent, and memory is counted above them
    python     the environment variable that names its interpreter, where it cannot live with the others
    share      the part of the rows that it reads: slow ones read fewer, so that each epoch is a whole one
    """

    name: str
    kind: Kind
    maker: str
    modules: tuple[str, ...]
    python: str | None = None
    share: float = 1.0
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """At least `ratio` times the speed of `against`, a contestant's name or `BEST_PEER`."""

    contestant: str
    ratio: float
    against: str


@dataclass(frozen=True)
class Cell:
    """One comparison: a workload, a framework, an order. The first contestant is the limit."""

    name: str
    workload: str
    shuffle: bool
    contestants: tuple[Contestant, ...]
    targets: tuple[Target, ...]
    batch_size: int = 256

    @property
    def limit(self) -> str:
        return self.contestants[0].name


BEST_PEER = "the best peer with a full shuffle"

PETASTORM = "DLCACHE_BENCHMARK_PETASTORM_PYTHON"
STREAMING = "DLCACHE_BENCHMARK_STREAMING_PYTHON"
DATASETS = "DLCACHE_BENCHMARK_DATASETS_PYTHON"
LANCE = "DLCACHE_BENCHMARK_LANCE_PYTHON"


def _limit(name: str, maker: str, *modules: str, share: float = 1.0, **options: str) -> Contestant:
    return Contestant(name, "limit", f"limits:{maker}", ("numpy", *modules), share=share, options=options)


def _dlcache(name: str, maker: str, *modules: str, share: float = 1.0, **options: str) -> Contestant:
    return Contestant(name, "dlcache", f"ours:{maker}", ("dlcache", *modules), share=share, options=options)


def _petastorm(name: str, maker: str, share: float, **options: str) -> Contestant:
    modules = ("petastorm.reader", "petastorm.pytorch", "torch")
    return Contestant(name, "peer", f"peers:{maker}", modules, PETASTORM, share, options)


def _streaming(share: float) -> Contestant:
    return Contestant("Mosaic Streaming", "peer", "peers:MosaicStreaming", ("streaming", "torch"), STREAMING, share)


def _huggingface(share: float) -> Contestant:
    return Contestant("Hugging Face datasets", "peer", "peers:HuggingFace", ("datasets", "torch"), DATASETS, share)


def _lance(share: float) -> Contestant:
    return Contestant("Lance", "peer", "peers:Lance", ("lance", "torch"), LANCE, share)


def _pyarrow(share: float) -> Contestant:
    return Contestant("pyarrow", "peer", "peers:PyArrow", ("pyarrow.parquet", "torch"), share=share)


TAKE_IN_THREADS, TAKE_COLUMNS = "NumPy take, default threads", "NumPy take of columns, default threads"
TAKE, SLICES, DLCACHE = "NumPy take", "slices of the map", "dlcache"
ONE_THREAD = "dlcache, one gather thread"
SEPARATE, PACKED = "dlcache, separate columns", "dlcache, packed"
LOOP, VECTORISED = "Python loop over a map", "NumPy, vectorised"
RAM, RECORDS = "from_tensor_slices in RAM", "TFRecord"

TORCH_EMBEDDINGS_PEERS = (
    _lance(1.0),
    _huggingface(0.25),
    _petastorm("Petastorm BatchedDataLoader", "Petastorm", 0.25, loader="BatchedDataLoader"),
    _petastorm("Petastorm DataLoader", "Petastorm", 0.1, loader="DataLoader"),
    _streaming(0.05),
)

_CELLS: tuple[Cell, ...] = (
    Cell(
        "embeddings, torch, shuffled",
        "embeddings",
        True,
        (
            _limit(TAKE, "Arrays", "torch"),
            _limit(TAKE_IN_THREADS, "ArraysInThreads", "torch"),
            _dlcache(DLCACHE, "Torch", "torch"),
            _dlcache(ONE_THREAD, "Torch", "torch", threads="1"),
            *TORCH_EMBEDDINGS_PEERS,
        ),
        (Target(ONE_THREAD, 0.85, TAKE), Target(DLCACHE, 1.3, TAKE)),
    ),
    Cell(
        "embeddings, torch, in order",
        "embeddings",
        False,
        (
            _limit(SLICES, "Arrays", "torch"),
            _dlcache(DLCACHE, "Torch", "torch"),
            _pyarrow(0.25),
            *TORCH_EMBEDDINGS_PEERS,
        ),
        (Target(DLCACHE, 0.9, SLICES),),
    ),
    Cell(
        "tabular, torch, shuffled",
        "tabular",
        True,
        (
            _limit(TAKE, "Arrays", "torch"),
            _limit(TAKE_IN_THREADS, "ArraysInThreads", "torch"),
            _limit(TAKE_COLUMNS, "ColumnsInThreads", "torch"),
            _dlcache(PACKED, "Torch", "torch", dataset="packed"),
            _dlcache(SEPARATE, "Torch", "torch"),
            _lance(0.1),
            _petastorm("Petastorm BatchedDataLoader", "Petastorm", 0.1, loader="BatchedDataLoader"),
        ),
        (Target(PACKED, 0.85, TAKE), Target(SEPARATE, 0.6, TAKE)),
    ),
    Cell(
        "tabular, torch, in order",
        "tabular",
        False,
        (
            _limit(SLICES, "Arrays", "torch"),
            _dlcache(PACKED, "Torch", "torch", dataset="packed"),
            _dlcache(SEPARATE, "Torch", "torch"),
            _pyarrow(0.2),
            _petastorm("Petastorm BatchedDataLoader", "Petastorm", 0.1, loader="BatchedDataLoader"),
        ),
        (),
    ),
    Cell(
        "JPEG bytes, torch, shuffled",
        "images",
        True,
        (
            _limit("slices of a blob", "Blobs", "torch"),
            _dlcache(DLCACHE, "Torch", "torch"),
            _lance(0.5),
            _huggingface(0.5),
            _streaming(0.25),
        ),
        (Target(DLCACHE, 0.7, "slices of a blob"),),
    ),
    Cell(
        "JPEG decoded to 224x224, torch, shuffled",
        "decoded",
        True,
        (
            _limit("the decoder alone", "Decoder", "torch", "PIL.Image"),
            _dlcache(DLCACHE, "Torch", "torch", "PIL.Image"),
            Contestant(
                "PyTorch DataLoader, files",
                "peer",
                "peers:ImageFiles",
                ("torch.utils.data", "PIL.Image"),
            ),
        ),
        (Target(DLCACHE, 0.95, "the decoder alone"),),
        batch_size=64,
    ),
    Cell(
        "ragged tokens, padded, torch, shuffled",
        "ragged",
        True,
        (
            _limit(LOOP, "RaggedLoop", "torch"),
            _limit(VECTORISED, "RaggedVectorised", "torch"),
            _dlcache(DLCACHE, "Torch", "torch"),
            _lance(0.25),
            _huggingface(0.1),
            _streaming(0.05),
        ),
        (Target(DLCACHE, 0.9, LOOP), Target(DLCACHE, 5.0, BEST_PEER)),
    ),
    *(
        Cell(
            f"{workload}, TensorFlow, {'shuffled' if shuffle else 'in order'}",
            workload,
            shuffle,
            (
                _limit(RAM, "TensorSlices", "tensorflow"),
                _dlcache(DLCACHE, "TensorFlow", "tensorflow", dataset=dataset),
                _limit(RECORDS, "Records", "tensorflow", share=0.2),
            ),
            (Target(DLCACHE, 2.0, RAM),) if shuffle else (Target(DLCACHE, 1.0, RAM), Target(DLCACHE, 3.0, RECORDS)),
        )
        for workload, dataset in (("embeddings", "dlcache"), ("tabular", "packed"))
        for shuffle in (False, True)
    ),
)
CELLS = tuple(sorted(_CELLS, key=lambda cell: list(ROWS).index(cell.workload)))
"""Cells of one workload one after another: their contestants' processes are started once."""
FIRST_BATCH = "embeddings, torch, shuffled"
"""The cell whose contestants are also started anew to measure the time to their first batch."""
FIRST_BATCH_SECONDS = 0.05
MEMORY_MB = 300


@dataclass(frozen=True)
class Write:
    """One comparison of writers: `target` times as fast as Spark's own Parquet writer of the same columns."""

    name: str
    workload: str
    share: float
    target: float


SPARKS = "Spark's Parquet"
WRITES = (
    Write("embeddings, arrays", "embeddings", 1.0, 4.0),
    Write("embeddings, MLlib vectors", "embeddings", 0.5, 4.0),
    Write("tabular", "tabular", 1.0, 1.5),
    Write("images", "images", 1.0, 1.0),
    Write("ragged tokens", "ragged", 1.0, 1.5),
)
