"""What a run does with states besides arithmetic: keep them, copy them, measure them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]
States = Any
"""What a register holds, shape (*batch, *data): an array of NumPy, of another library or of objects, a lattice, or one scalar."""
NOTHING = nullcontext()
"""The context of systems that compute in any: one object for all, since a run enters it twice a step."""
_SQUARED = 1e150
"""Larger numbers are scaled before they are squared."""

HALF = "float16 ends at 65504, use bfloat16 or float32 states"
"""The remedy for states that float16 cannot hold."""


class Memory(Protocol):
    """Where the states of a run are, and what is done with them there: combined, kept, copied, compared, measured.

    What is written here are the ways of NumPy arrays, and of scalars that nothing can change; states elsewhere, such as
    tensors, have their own. `scalars` are the numbers that such states are multiplied by.

    `deferred` says that what `finite` returns is read once, at the end of a run, because each reading would halt a device.
    """

    deferred: bool = False
    floats: bool = False  # whether the states are NumPy arrays of floats
    integers: bool = False  # whether the states are integers, to which each step adds rounded increments
    written: bool = False  # whether a float among a solver's parameters means the decimal that it prints as
    reference_rtol: float = 1e-11  # of a numerical reference solution, where the model's rounding allows it
    remedy: str = ""  # what to change where a state of this system is not finite

    @property
    def name(self) -> str:
        """What messages call such states."""

    def combine(self, coefficients: Sequence[Any], values: Sequence[States], out: States = None) -> States:
        """Return sum_k coefficients[k] * values[k], written into `out` where that can be."""

    def finite(self, value: States) -> Any:
        """Say whether no element is NaN or infinite."""

    def working(self) -> AbstractContextManager[object]:
        """Return the context in which states are combined, and models of them run."""
        return NOTHING

    @property
    def scalars(self) -> Any:
        """The system in which the schedules, grids and coefficients of such states are computed: this one."""
        return self

    def read(self, flags: list[Any]) -> list[Any]:
        """Return as booleans what `finite` gave in the course of a run, or as it is where a traced program will tell."""
        return [bool(flag) for flag in flags]

    def holds(self, value: States) -> bool:
        """Say at a glance whether a value is one of this system's; where this says no, `of` still has to look."""
        return False

    def asked(self, model: Callable[[Any, Any], Any], z: States, t: Any) -> States:
        """Return a model's output at a state that it cannot write to: a run still needs it, or it is the caller's own."""
        if isinstance(z, np.ndarray):
            z = z.view()
            z.setflags(write=False)
        return model(z, t)

    def received(self, output: States, argument: States, lasts: bool) -> States:
        """Return a model's output as a run may keep it: a copy if it lasts over a later call, or shares the state's memory."""
        # A model may return its argument, a view of it, or one buffer every time; each would change under the run.
        if isinstance(output, np.ndarray) and (lasts or np.may_share_memory(output, argument)):
            return output.copy()
        return output

    def frozen(self, value: States) -> States:
        """Return a copy that cannot be written to, or is nobody else's."""
        if isinstance(value, np.ndarray):
            value = value.copy()
            value.flags.writeable = False
        return value

    def history(self, n: int, value: States) -> States:
        """Return room for n states like a value, shape (n, *shape), filled with NaN or None."""
        value = np.asarray(value)
        # A run that ends early leaves NaN in the slots that it has not reached.
        return np.full((n, *value.shape), None if value.dtype == object else np.nan, value.dtype)

    def stacked(self, history: Any) -> States:
        """Return as one array what `history` made room for, and a run has filled."""
        return history

    def rms(self, difference: States) -> Any:
        """Return the root mean square over all elements; in exact systems the root is taken in float64."""
        if isinstance(difference, np.ndarray | np.generic) and difference.dtype != object:
            wide = difference.astype(np.result_type(difference, np.float64))
            # Squares of numbers beyond 1e154 overflow though their root does not.
            largest = np.max(np.abs(wide), initial=0.0)
            if not np.isfinite(largest):
                return float(largest)
            scale = largest if largest > _SQUARED else 1.0
            return float(scale * np.sqrt(np.mean(np.square(wide / scale))))
        elements = np.ravel(np.asarray(difference, dtype=object))
        mean = sum(d * d for d in elements) / self.number(len(elements))  # type: ignore[attr-defined]
        return math.sqrt(mean) if self.exact else self.sqrt(mean)  # type: ignore[attr-defined]

    def host(self, value: States) -> Any:
        """Return a value in the memory of NumPy."""
        return value

    def placed(self, array: Array) -> States:
        """Return a NumPy array where the states of this system are, in the array's own precision."""
        return array

    def on_arrays(self, model: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """Return a model of this system's states as one of NumPy arrays, for what is measured on the host."""
        return model

    def stored(self, value: States) -> tuple[Array, str]:
        """Return a value as an array and a word that says how to read it; TypeError where values have no such form."""
        raise TypeError(f"a state in {self.name} has no file form: save states of numbers")


_READERS: dict[str, Callable[[Array, str], Any]] = {}


def register_reader(prefix: str, read: Callable[[Array, str], Any]) -> None:
    """Let states whose `stored` word begins with "prefix:" be read: ``read(array, rest of the word)``."""
    _READERS[prefix] = read


def read_stored(array: Array, word: str) -> Any:
    """Return a value from what `stored` gave; ImportError if nothing registered its prefix."""
    prefix, _, rest = word.partition(":")
    if prefix not in _READERS:
        raise ImportError(f"the file holds states of {prefix}: import bdia_numerics.{prefix} first")
    return _READERS[prefix](array, rest)
