"""What of a shard is checked when it is first mapped. `_verify` looks at a whole dataset."""

from __future__ import annotations

import zlib
from typing import Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from ._errors import OptionError, ShardError
from ._manifest import Manifest
from ._offsets import offset_problems

Verify = Literal["off", "open", "full"]

_MAGIC = b"PAR1"


def checked_verify(value: object) -> Verify:
    """`value`, if it is a level of checking. Raises OptionError."""
    if isinstance(value, str) and value in get_args(Verify):
        return cast(Verify, value)
    raise OptionError(f"verify must be 'off', 'open' or 'full', not {value!r}")


def check_shard(file: npt.NDArray[np.uint8], where: str, manifest: Manifest, number: int, level: Verify) -> None:
    """Look at the mapped shard `number`, which has the size that its manifest says. open: it begins and ends as Parquet
    does, and its footer lies in it. full: its bytes have the CRC-32 of the manifest too, which reads all of it, and its
    footer has the row groups and the offsets of the manifest.

    Raises ShardError, which names the file `where`.
    """
    if level == "off":
        return
    tail = file[-8:].tobytes()
    footer = int.from_bytes(tail[:4], "little")
    if file[:4].tobytes() != _MAGIC or tail[4:] != _MAGIC or footer > len(file) - 12:
        raise ShardError(f"{where} is no Parquet file, or its footer is damaged; write the dataset again")
    if level == "full":
        _check_whole(file, where, manifest, number)


def _check_whole(file: npt.NDArray[np.uint8], where: str, manifest: Manifest, number: int) -> None:
    crc32 = int(manifest.shards.crc32[number])
    if (found := zlib.crc32(file.data)) != crc32:
        raise ShardError(
            f"the bytes of {where} have the CRC-32 {found:08x}, and its manifest says {crc32:08x}; the file is "
            "damaged, write the dataset again"
        )
    try:
        problem = next(offset_problems(file, manifest, number), None)
    except ValueError as error:
        problem = f"its Parquet footer cannot be read: {error}"
    if problem is not None:
        raise ShardError(f"{where}: {problem}; the manifest or the file is damaged, write the dataset again")
