"""The memory of JAX arrays: float16, bfloat16, float32 and float64, under jit, vmap and grad as outside of them.

A run writes into no array and reads no value, so that it can be traced: times and coefficients are numbers of the plan, and what the
program computes of the states is all that it leaves. jax is imported when something of it first comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from bdia_numerics.spaces.base import Numbers, Scalar, register
from bdia_numerics.spaces.floats import FLOAT64
from bdia_numerics.spaces.kernel import linear_combination
from bdia_numerics.spaces.later import jax, jnp
from bdia_numerics.spaces.memory import HALF, Array, Memory, register_reader
from bdia_numerics.spaces.values import bare

Model = Callable[[Any, Any], Any]
_WORD = "jax"
_TREES: list[tuple[type, tuple[str, ...]]] = []
_MIXED = "write the model with jax.numpy, or bring a NumPy function in by jax.pure_callback"


@dataclass(frozen=True)
class JaxArrays(Memory):
    """Float arrays of JAX of one dtype, traced ones among them.

    Schedules and coefficients are Python floats, which keep the dtype of the states. Linear combinations of float16 and bfloat16 states
    are summed in float32 and rounded once. A run goes on to its end, since to look at a state would wait for it; its status then names
    the first state that was not finite. Under jit, vmap and grad the status holds a traced boolean instead, without a place.
    """

    dtype: np.dtype[Any]
    deferred = True

    def __post_init__(self) -> None:
        if not (jnp.issubdtype(self.dtype, jnp.floating) and self.dtype.itemsize > 1):
            raise TypeError(
                f"dtype={self.dtype} is not a real float: use float16, bfloat16, float32 or float64 (z.astype('float32'))"
            )

    @property
    def name(self) -> str:
        """The dtype, and whose arrays they are."""
        return f"{self.dtype} jax arrays"

    @property
    def remedy(self) -> str:  # type: ignore[override]
        """A wider dtype for float16, which ends early."""
        return HALF if self.dtype == np.float16 else ""

    @property
    def scalars(self) -> Numbers:
        """float64 numbers."""
        return FLOAT64

    def combine(self, coefficients: Sequence[Scalar], values: Sequence[Any], out: Any = None) -> Any:
        """Return sum_k coefficients[k] * values[k]; `out` is ignored, since nothing is written into."""
        if self.dtype.itemsize > 2:
            return linear_combination(coefficients, values)
        return linear_combination(coefficients, [v.astype(np.float32) for v in values]).astype(self.dtype)

    def holds(self, value: Any) -> bool:
        """Say whether it is an array of this dtype."""
        return _accepts(value) and value.dtype == self.dtype

    def finite(self, value: Any) -> Any:
        """Say in a boolean array of no axes whether no element is NaN or infinite."""
        return jnp.isfinite(value).all()

    def read(self, flags: list[Any]) -> list[Any]:
        """Return the flags of a run, in one transfer; as they are if one of them is traced."""
        if not flags or any(isinstance(flag, jax.core.Tracer) for flag in flags):
            return flags
        return jnp.stack(flags).tolist()

    def asked(self, model: Model, z: Any, t: Any) -> Any:
        """Return a model's output; TypeError where it computes with another library."""
        try:
            output = model(z, t)
        except TypeError as error:
            other = "NumPy" if isinstance(error, jax.errors.TracerArrayConversionError) else "torch"
            if other == "torch" and "Tensor" not in str(error):
                raise
            raise TypeError(f"model(z, t={t}) computes with {other}, and z is a jax array: {_MIXED}") from error
        if not _accepts(output):
            raise TypeError(f"model(z, t={t}) is of class {type(output).__name__}, and z is a jax array: {_MIXED}")
        return output

    def frozen(self, value: Any) -> Any:
        """Return the array, which nothing can change."""
        return value

    def history(self, n: int, value: Any) -> list[Any]:
        """Return a list of n arrays like a value, filled with NaN."""
        return [jnp.full_like(value, np.nan)] * n

    def stacked(self, history: list[Any]) -> Any:
        """Return the states of a history as one array, shape (n, *shape)."""
        return jnp.stack(history)

    def rms(self, difference: Any) -> Any:
        """Return the root mean square over all elements: a float, or of a traced array a traced number."""
        if isinstance(difference, jax.core.Tracer):
            return jnp.sqrt(jnp.mean(jnp.square(difference)))
        return FLOAT64.rms(self.host(difference))

    @property
    def reference_rtol(self) -> float:  # type: ignore[override]
        """What the rounding of a network allows."""
        return max(1e-7, 100 * float(jnp.finfo(self.dtype).eps))

    def host(self, value: Any) -> Array:
        """Return a float64 array of the values; TypeError for a traced array, which has none yet."""
        if isinstance(value, jax.core.Tracer):
            raise TypeError("z is traced by jax and has no values yet: pass reference=a state, or measure outside jit")
        return np.asarray(value, np.float64)

    def placed(self, array: Array) -> Any:
        """Return an array of JAX, in the precision that it is set to."""
        return jnp.asarray(array)

    def on_arrays(self, model: Model) -> Model:
        """Return a model of such arrays as one of NumPy arrays."""
        return lambda z, t: self.host(model(self.placed(z).astype(self.dtype), t))

    def stored(self, value: Any) -> tuple[Array, str]:
        """Return the array and a word with its dtype, since a file has no name for bfloat16."""
        return np.asarray(value), f"{_WORD}:{self.dtype}"


def tree(kind: type, *leaves: str) -> None:
    """Let functions under JAX's transformations take and return instances of a dataclass, with arrays in the fields that are named."""
    _TREES.append((kind, leaves))


def _grow(kind: Any, leaves: tuple[str, ...]) -> None:
    # Bare, without a look at the fields, since JAX puts placeholders into them.
    def parts(value: Any) -> tuple[list[Any], Any]:
        found = [getattr(value, name) for name in leaves]
        rest = bare(kind, vars(value) | dict.fromkeys(leaves))
        return [dict(x) if isinstance(x, Mapping) else x for x in found], rest

    def whole(rest: Any, found: Sequence[Any]) -> Any:
        closed = [MappingProxyType(x) if isinstance(x, dict) else x for x in found]
        return bare(kind, vars(rest) | dict(zip(leaves, closed, strict=True)))

    jax.tree_util.register_pytree_node(kind, parts, whole)


def _accepts(x: object) -> bool:
    # The class of a function of symbols is in no module.
    return str(type(x).__module__).partition(".")[0] in ("jax", "jaxlib") and isinstance(x, jax.Array)


def _space_of(x: Any) -> JaxArrays:
    while _TREES:
        _grow(*_TREES.pop())
    return JaxArrays(x.dtype)


register(_accepts, _space_of)  # type: ignore[arg-type]  # a property where the protocol has one
register_reader(_WORD, lambda array, word: jnp.asarray(array.view(jnp.dtype(word)), word))
