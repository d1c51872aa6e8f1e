"""How the worker processes of one PyTorch `DataLoader` agree on which iteration they are in.

Each epoch of a `DataLoader` starts new processes, with copies of the dataset as it was. So a copy cannot count epochs,
and processes that begin at different times must not count them differently. They agree through files: the first to
link an ordinal's name has it for its iteration, and the others read it there.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import uuid
import weakref
from pathlib import Path


class Iterations:
    """Numbers the iterations of one loader over all processes that it is copied to, from 0."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.gettempdir(), f"dlcache-iterations-{uuid.uuid4().hex}")
        weakref.finalize(self, _remove, self._folder, os.getpid())

    def ordinal(self, iteration: str) -> int:
        """The number of an iteration: equal for equal `iteration`, in every process, else the next one that is free."""
        self._folder.mkdir(exist_ok=True)
        mine = self._folder / uuid.uuid4().hex
        mine.write_text(iteration)
        try:
            for number in itertools.count():
                claimed = self._folder / str(number)
                try:
                    os.link(mine, claimed)
                    return number
                except FileExistsError:
                    if claimed.read_text() == iteration:
                        return number
        finally:
            mine.unlink()
        raise AssertionError

    def note_epoch(self, ordinal: int, epoch: int) -> None:
        """Have the iteration with this number begin with this epoch: it goes on from a state."""
        written = self._folder / uuid.uuid4().hex
        written.write_text(str(epoch))
        os.replace(written, self._folder / f"{ordinal}.epoch")

    def noted_epoch(self, ordinal: int) -> tuple[int, int] | None:
        """The last iteration up to this number for which an epoch was noted, and the epoch."""
        noted = [int(path.stem) for path in self._folder.glob("*.epoch") if int(path.stem) <= ordinal]
        return (max(noted), int((self._folder / f"{max(noted)}.epoch").read_text())) if noted else None

    def __getstate__(self) -> dict[str, Path]:
        return {"_folder": self._folder}


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
