"""How the model of an assertion is evaluated: at one time, in states that are counted, and with an output of the library of the states."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics import spaces
from bdia_numerics.models import prediction_of


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
