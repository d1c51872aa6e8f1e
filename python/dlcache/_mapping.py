"""Files mapped at addresses that are multiples of more than a page, and without a descriptor for each.

Python's `mmap` leaves the address to the kernel, and keeps a descriptor. Here the C library's is called: it reserves
address space, in which there is a multiple of the number asked for, puts the file there, and gives back the rest.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from ._memory import items_at

Bytes = npt.NDArray[np.uint8]

_MAP_FIXED = 0x10  # of Linux on all its platforms but for Alpha, MIPS and PA-RISC
_PROT_NONE = 0
_MADV_HUGEPAGE = 14
_FAILED = ctypes.c_void_p(-1).value


def map_at_multiple(descriptor: int, size: int, multiple: int, *, huge: bool = False) -> Bytes:
    """The first `size` bytes of a file, read-only, until the last view of them is gone. Their address is a multiple of
    `multiple`, itself one of the page size, on 64-bit Linux; elsewhere, and where address space is limited, of the page
    size. huge: what is not in memory yet may be read from the disk in huge pages. Raises OSError if the file cannot be
    mapped."""
    if multiple > mmap.PAGESIZE and _LIBRARY is not None:
        address = _place(_LIBRARY, descriptor, size, multiple)
        if address is not None:
            if huge:
                _advise_huge(_LIBRARY, address, size)
            mapped = items_at(address, size, np.dtype(np.uint8), 1)
            weakref.finalize(mapped, _LIBRARY.munmap, address, size).atexit = False
            return mapped
    return np.frombuffer(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ), np.uint8)


class PrivateMapping:
    """The first `size` bytes of a file, writable: what is written stays in this mapping, neither the file nor another
    mapping sees it. It lasts as long as this object and what `bytes` has returned. huge: as for `map_at_multiple`.
    Raises OSError if the file cannot be mapped."""

    def __init__(self, descriptor: int, size: int, *, huge: bool = False) -> None:
        self._size = size
        self._memory: mmap.mmap | None = None
        self._address = 0
        if _LIBRARY is None:
            self._memory = mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY)
            return
        protection = mmap.PROT_READ | mmap.PROT_WRITE
        address = _LIBRARY.mmap(None, size, protection, mmap.MAP_PRIVATE, descriptor, 0)
        if address == _FAILED:
            raise _error()
        self._address = address
        if huge:
            _advise_huge(_LIBRARY, address, size)
        weakref.finalize(self, _LIBRARY.munmap, address, size).atexit = False

    def bytes(self) -> Bytes:
        """Its bytes, as an array of its own: all views of it refer to it."""
        if self._memory is not None:
            return np.frombuffer(self._memory, np.uint8)
        return np.asarray(_Bytes(self, self._address, self._size))

    def drop(self, start: int, length: int) -> None:
        """Forget what was written to these pages: the next look at them reads the file. Linux only."""
        if self._memory is not None:
            self._memory.madvise(mmap.MADV_DONTNEED, start, length)
        elif _LIBRARY.madvise(self._address + start, length, mmap.MADV_DONTNEED):
            raise _error()


class _Bytes:
    """Memory of a mapping, which it keeps."""

    def __init__(self, owner: PrivateMapping, address: int, size: int) -> None:
        self._owner = owner
        self.__array_interface__ = {"version": 3, "data": (address, False), "shape": (size,), "typestr": "|u1"}


def _place(library: Any, descriptor: int, size: int, multiple: int) -> int | None:
    """Where a file was mapped; None if there is no address space for that."""
    room = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    reserved = library.mmap(None, room + multiple, _PROT_NONE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    if reserved == _FAILED:
        return None
    address = -(-reserved // multiple) * multiple
    placed: int = library.mmap(address, size, mmap.PROT_READ, mmap.MAP_SHARED | _MAP_FIXED, descriptor, 0)
    error = _error()
    end = reserved + room + multiple
    if placed == _FAILED:
        library.munmap(reserved, room + multiple)
        raise error
    for start, stop in ((reserved, address), (address + room, end)):
        if stop > start:
            library.munmap(start, stop - start)
    return placed


def _advise_huge(library: Any, address: int, size: int) -> None:
    """It is advice: a kernel that has no huge pages for files refuses it, and the mapping is as good as without."""
    library.madvise(address, size, _MADV_HUGEPAGE)


def _error() -> OSError:
    """What the last call of the library failed with."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def _library() -> Any:
    if sys.platform != "linux" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    library = ctypes.CDLL(None, use_errno=True)
    pointer, size, integer = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    library.mmap.restype, library.mmap.argtypes = pointer, [pointer, size, integer, integer, integer, ctypes.c_int64]
    library.munmap.restype, library.munmap.argtypes = integer, [pointer, size]
    library.madvise.restype, library.madvise.argtypes = integer, [pointer, size, integer]
    return library


_LIBRARY = _library()
