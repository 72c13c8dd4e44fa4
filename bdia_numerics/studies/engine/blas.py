"""One thread of BLAS while cells run, also where several threads of a process run cells."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import threadpool_info, threadpool_limits  # type: ignore[import-untyped]

_LOCK = threading.Lock()
_LIMITS: list[Any] = []
"""Limits that changed something, in the order in which they were set: a library loaded later has its own."""
_USERS: list[int] = []


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Compute with one thread of BLAS inside. The limit is the process's, so the last to leave restores what was before."""
    with _LOCK:
        if any(library["num_threads"] != 1 for library in threadpool_info()):
            _LIMITS.append(threadpool_limits(limits=1))
        _USERS.append(threading.get_ident())
    try:
        yield
    finally:
        with _LOCK:
            _USERS.remove(threading.get_ident())
            while _LIMITS and not _USERS:
                _LIMITS.pop().restore_original_limits()
