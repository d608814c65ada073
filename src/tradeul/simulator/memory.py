"""Whole-market tables come and go; glibc, left alone, keeps their memory: 700 MB where 400 are used. On other systems: nothing."""

import ctypes
import sys

MAPPED_FROM_BYTES = 4 << 20  # larger blocks go back to the system when freed; smaller ones are reused faster than mapped
ARENAS = 2
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # of glibc's malloc.h
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def keep_little() -> None:
    """For a process that is nothing but the simulator."""
    mallopt = getattr(_LIBC, "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, MAPPED_FROM_BYTES)
        mallopt(_ARENA_MAX, ARENAS)


def give_back() -> None:
    """After a table was made: some 5 ms for 100 MB."""
    trim = getattr(_LIBC, "malloc_trim", None)
    if trim is not None:
        trim(0)
