"""The working precisions of mpmath and flint, which are one for the process, made safe for threads.

mpmath reads its precision from one list. `of_mpmath` puts a reader in its place that answers each thread for itself: inside a
run its own digits, elsewhere those of the process, which `mpmath.mp.dps = 50` sets as ever. So a run neither sees nor leaves a
change, whatever a model does in another thread or in its own, and no thread waits for another.

flint's precision is a variable in C. There `Shared` keeps the largest value that any thread asks for at present: an
enclosure in more bits is an enclosure.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class _Own(threading.local):
    """[precision in bits, rounding] and [digits] of this thread's innermost run; None outside."""

    pair: list[Any] | None = None
    dps: list[int] | None = None


_OWN = _Own()


class _Reader:
    """What mpmath unpacks as (precision, rounding), several times a microsecond."""

    __slots__ = ("dps", "pair")

    def __init__(self, pair: list[Any], dps: int) -> None:
        self.pair, self.dps = pair, [dps]

    def __iter__(self) -> Iterator[Any]:
        own = _OWN.pair
        return iter(self.pair if own is None else own)

    def __getitem__(self, k: int) -> Any:
        return (self.pair if _OWN.pair is None else _OWN.pair)[k]

    def __setitem__(self, k: int, value: Any) -> None:
        (self.pair if _OWN.pair is None else _OWN.pair)[k] = value


_LOCK = threading.RLock()


def of_mpmath() -> Any:
    """Return `mpmath.mp`, whose precision is from then on that of the thread."""
    from mpmath import mp

    if type(mp).__name__ != "ThreadedContext":
        with _LOCK:
            _thread(mp)
    return mp


def _thread(mp: Any) -> None:
    kind = type(mp)
    if kind.__name__ == "ThreadedContext":
        return
    reader = _Reader(mp._prec_rounding, mp.dps)

    # mpmath writes the bits to the list, too; clones of mp have lists and attributes of their own.
    def dps(ctx: Any) -> Any:
        return (_OWN.dps or reader.dps)[0] if ctx._prec_rounding is reader else vars(ctx)["_dps"]

    def put(ctx: Any, value: Any) -> None:
        if vars(ctx).get("_prec_rounding") is reader:
            (_OWN.dps or reader.dps)[0] = value
        else:
            vars(ctx)["_dps"] = value

    entries = {
        "_prec": property(lambda ctx: ctx._prec_rounding[0], lambda ctx, value: None),
        "_dps": property(dps, put),
    }
    threaded = type("ThreadedContext", (kind,), entries)
    # Each number type keeps a reference to the list of its own, from which its operators read.
    for holder in (mp.mpf, mp.mpc, mp.constant):
        holder._ctxdata[2] = reader
    mp._prec_rounding = reader
    mp.__class__ = threaded


@contextmanager
def digits(dps: int) -> Iterator[None]:
    """Compute with so many digits in this thread; what held before holds after, whatever was set in between."""
    mp = of_mpmath()
    before = _OWN.pair, _OWN.dps
    # Copies: what the model sets inside is set in these, and dropped with them.
    _OWN.pair, _OWN.dps = list(mp._prec_rounding), [mp.dps]
    try:
        mp.dps = dps
        yield
    finally:
        _OWN.pair, _OWN.dps = before


class Shared:
    """A setting of the process, kept at the largest value that the threads ask for.

    Parameters
    ----------
    read, write
        Give and set the process's value.
    """

    def __init__(self, read: Callable[[], int], write: Callable[[int], None]) -> None:
        self._read, self._write = read, write
        self._asked: dict[int, int] = {}
        self._process = self._written = 0

    @property
    def own(self) -> int:
        """What this thread asks for; outside a run the process's value."""
        with _LOCK:
            now = self._read()
            # A value other than the one written last was set by the user, outside of every run.
            outside = self._process if self._asked and now == self._written else now
            return self._asked.get(threading.get_ident(), outside)

    @contextmanager
    def at_least(self, value: int) -> Iterator[None]:
        """Ask for a value in this thread; what held before holds after, whatever was set in between."""
        thread = threading.get_ident()
        with _LOCK:
            if not self._asked:
                self._process = self._read()
            before = self._asked.get(thread)
            self._set(thread, value)
        try:
            yield
        finally:
            with _LOCK:
                self._set(thread, before)

    def _set(self, thread: int, value: int | None) -> None:
        if value is None:
            del self._asked[thread]
        else:
            self._asked[thread] = value
        self._written = max(self._asked.values()) if self._asked else self._process
        self._write(self._written)
