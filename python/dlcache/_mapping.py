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


def map_at_multiple(
    descriptor: int, size: int, multiple: int = mmap.PAGESIZE, *, private: bool = False, huge: bool = False
) -> Bytes:
    """The first `size` bytes of a file, until the last view of them is gone. Their address is a multiple of `multiple`,
    itself one of the page size, on 64-bit Linux; elsewhere, and where address space is limited, of the page size.

    private: they are writable, and what is written stays in this mapping: neither the file nor another mapping sees it.
    Otherwise they are read-only. huge: what is not in memory yet may be read from the disk in huge pages. Raises
    OSError if the file cannot be mapped.
    """
    if _LIBRARY is not None:
        address = _place(_LIBRARY, descriptor, size, multiple, private)
        if address is not None:
            if huge:
                _advise_huge(_LIBRARY, address, size)
            mapped = items_at(address, size, np.dtype(np.uint8), 1, writable=private)
            weakref.finalize(mapped, _LIBRARY.munmap, address, size).atexit = False
            return mapped
    access = mmap.ACCESS_COPY if private else mmap.ACCESS_READ
    return np.frombuffer(mmap.mmap(descriptor, size, access=access), np.uint8)


def _place(library: Any, descriptor: int, size: int, multiple: int, private: bool) -> int | None:
    """Where a file was mapped; None if there is no address space for that."""
    room = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    reserved = library.mmap(None, room + multiple, _PROT_NONE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    if reserved == _FAILED:
        return None
    address = -(-reserved // multiple) * multiple
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if private else 0)
    flags = _MAP_FIXED | (mmap.MAP_PRIVATE if private else mmap.MAP_SHARED)
    placed: int = library.mmap(address, size, protection, flags, descriptor, 0)
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
