"""A progress bar over the batches of an iteration, by tqdm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ._errors import OptionError


def check_progress() -> None:
    """Raises OptionError if there is no tqdm."""
    _tqdm()


def _tqdm() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise OptionError("progress=True needs tqdm: pip install tqdm, or leave it out") from error
    return tqdm


def with_bar(batches: Iterator[Any], epoch: Callable[[int], int], total: int | None, initial: int) -> Iterator[Any]:
    """Batches, with a bar on standard error or in a notebook's cell that counts them, while they are iterated over.

    Args:
        epoch: the epoch of the last one of so many batches.
        total: batches of the iteration, None if it is not known.
        initial: batches that were delivered before.
    """
    shown = epoch(initial + 1)
    bar = _tqdm()(total=total, initial=initial, desc=f"epoch {shown}", unit="batch")
    count = initial
    try:
        for batch in batches:
            count += 1
            if epoch(count) != shown:
                shown = epoch(count)
                bar.set_description(f"epoch {shown}", refresh=False)
            bar.update()
            yield batch
            del batch
    finally:
        batches.close()  # type: ignore[attr-defined]
        bar.close()
