"""What user code is given: a model that counts states, and what a run leaves for the opposite one, copied, or disturbed."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.models import prediction_of
from bdia_numerics.runs.state import State


def copied(value: Any) -> Any:
    """Return a copy of all arrays in what a function was given or gave: it may write into them later."""
    return _mapped(value, _copy)


def disturbed(carry: Any, size: float, part: int, seed: int = 1) -> Any:
    """Return what a run goes on from with independent disturbances in every register.

    Parameters
    ----------
    carry
        A State, an array, a tensor, or tuples, lists, dicts and objects of them.
    size
        Root mean square of the disturbance of floats. Integers get it relative to their own root mean square, rounded.
    part
        Elements of a state: arrays of another size than a multiple of it (times, steps, counters) stay as they are.
    seed
        Of the direction: sizes of one seed are multiples of one disturbance.
    """
    rng = np.random.default_rng(seed)

    def one(z: Any) -> Any:
        count = math.prod(np.shape(z))
        if np.ndim(z) == 0 or count == 0 or count % part:
            return _copy(z)
        noise = rng.standard_normal(tuple(np.shape(z)))
        kind = z.dtype.kind if isinstance(z, np.ndarray) else "f" if z.dtype.is_floating_point else "b"
        if kind in "fc":
            return z + (size * noise if isinstance(z, np.ndarray) else z.new_tensor(size * noise))
        if kind == "i":
            return z + np.rint(size * float(np.sqrt(np.mean(np.square(z, dtype=float)))) * noise).astype(z.dtype)
        return _copy(z)

    return _mapped(carry, one)


def cut(carry: Any, shape: tuple[int, ...], rows: int) -> Any:
    """Return what a run goes on from for the first rows of its batch alone.

    Parameters
    ----------
    carry
        As for `disturbed`.
    shape
        Of a state with its batch, (batch, ...). Arrays that end in it are cut, also several states in one array.
    rows
        How many rows are kept.

    Raises
    ------
    LookupError
        If an array holds as many elements as whole states, in another shape: its rows are not known.
    """

    def one(z: Any) -> Any:
        if tuple(z.shape)[-len(shape) :] == shape:
            return _copy(z[(..., slice(rows), *(slice(None) for _ in shape[1:]))])
        if np.ndim(z) and z.shape[0] and not math.prod(z.shape) % math.prod(shape):
            raise LookupError(f"an array of shape {tuple(z.shape)} holds states of shape {shape} in an unknown order")
        return _copy(z)

    return _mapped(carry, one)


def replaced(carry: Any, state: Any, other: Any) -> Any:
    """Return what a run goes on from with another state in each place of a state, also where this is one of several in an array."""
    shape = tuple(np.shape(state))

    def one(z: Any) -> Any:
        made = _copy(z)
        if type(z) is type(state) and tuple(z.shape)[-len(shape) :] == shape:
            parts = made.reshape((-1, *shape))
            for k in range(len(parts)):
                if bool((parts[k] == state).all()):
                    parts[k] = other
            made = parts.reshape(tuple(z.shape))
        return made

    return _mapped(carry, one)


def has_integers(carry: Any, part: int) -> bool:
    """Say whether a carry holds integers of a state's size, as bit-exact methods do."""
    found = list[bool]()

    def look(z: Any) -> Any:
        found.append("int" in str(z.dtype) and np.ndim(z) > 0 and math.prod(np.shape(z)) % part == 0)
        return z

    _mapped(carry, look)
    return any(found)


def _copy(z: Any) -> Any:
    return np.array(z) if isinstance(z, np.ndarray) else z.detach().clone()


def _slots(kind: type) -> tuple[str, ...]:
    """Return the names in a class's own __slots__, without those of its bookkeeping."""
    own = vars(kind).get("__slots__", ())
    return tuple(name for name in ((own,) if isinstance(own, str) else own) if not name.startswith("__"))


def _mapped(value: Any, f: Callable[[Any], Any]) -> Any:
    """Return a value with a function of each array or tensor in it."""
    if isinstance(value, np.ndarray) or (hasattr(value, "detach") and hasattr(value, "clone")):
        return f(value)
    if isinstance(value, State):
        return replace(value, registers={name: _mapped(z, f) for name, z in value.registers.items()})
    if isinstance(value, dict):
        return {key: _mapped(x, f) for key, x in value.items()}
    if isinstance(value, list | tuple):
        parts = [_mapped(x, f) for x in value]
        if isinstance(value, list):
            return parts
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    names = [name for kind in type(value).__mro__ for name in _slots(kind) if hasattr(value, name)]
    names += getattr(value, "__dict__", ())
    if names and not callable(value):
        made = copy.copy(value)
        for name in names:
            object.__setattr__(made, name, _mapped(getattr(value, name), f))
        return made
    return value


@dataclass
class CountedStates:
    """A model that counts what it is asked in states: a call on two states stacked into one array is two evaluations.

    Attributes
    ----------
    model
        The model.
    part : int
        Elements of a state with its batch.
    elements : int
        Elements of all inputs so far, or of the outputs where these are more.
    """

    model: Any
    part: int = 1
    elements: int = 0

    @property
    def prediction(self) -> str:
        """What the model predicts."""
        return prediction_of(self.model)

    @property
    def nfe(self) -> float:
        """Evaluations so far: a fraction where only a part of the batch was asked for."""
        whole, rest = divmod(self.elements, self.part)
        return whole + rest / self.part if rest else whole

    def __call__(self, z: Any, t: Any) -> Any:
        """Return the model's output at states z and time t, and count its rows."""
        output = at_home(lambda x: self.model(x, one_time(t)), z)
        self.elements += max(math.prod(np.shape(z)), math.prod(np.shape(output)))
        return output


def one_time(t: Any) -> Any:
    """Return the time of an array or a tensor that holds only one, as networks are told it for each state; everything else as it is."""
    if not hasattr(t, "__array__") or isinstance(t, np.generic):
        return t
    times = np.asarray(t.detach().cpu() if hasattr(t, "detach") else t)
    return times.flat[0] if times.size and (times == times.flat[0]).all() else t


def at_home(ask: Callable[[Any], Any], z: Any) -> Any:
    """Return what a function of NumPy arrays makes of states, as a tensor of tensors, an array of JAX of such, in the dtype of z."""
    if not hasattr(z, "shape") or isinstance(z, np.ndarray | np.generic):
        return ask(z)
    if hasattr(z, "detach"):
        import bdia_numerics.torch  # noqa: F401  registers tensors
    memory = spaces.of(z, "z")
    made = memory.placed(np.asarray(ask(memory.host(z))))
    return made.to(z.dtype) if hasattr(z, "detach") else made.astype(z.dtype)
