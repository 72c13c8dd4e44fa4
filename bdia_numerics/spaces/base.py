"""What a number system offers, and how it is read off a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction
from typing import Any, Protocol, runtime_checkable

import numpy as np

from bdia_numerics.spaces.memory import Memory

Scalar = Any
"""A number of some system: float, longdouble, mpf, Fraction, ball, or a sympy expression."""


class UndecidedError(ValueError):
    """A comparison that the radii of balls leave open."""


def vanishes(space: Space, x: Scalar) -> bool:
    """Say whether a coefficient is certainly zero, so that its term may be dropped; an undecided one is kept."""
    try:
        return space.is_zero(x)
    except UndecidedError:
        return False


@runtime_checkable
class Space(Protocol):
    """A number system: its scalars, its elementary functions, its linear combinations.

    `number` and `field` are the two doors in: `number` gives a scalar in which schedules compute, `field` its exact
    value (a Fraction, or an expression), in which step programs are collapsed. `coefficient` is the way back from the
    field, with one rounding where the system rounds at all. `exact` says that nothing is rounded, `encloses` that
    every result holds the true value within a known radius;
    `written` that a float among a solver's parameters means the decimal that it prints as.
    """

    @property
    def name(self) -> str: ...
    @property
    def exact(self) -> bool: ...
    @property
    def encloses(self) -> bool: ...
    @property
    def pi(self) -> Scalar: ...
    @property
    def written(self) -> bool: ...
    @property
    def deferred(self) -> bool: ...
    @property
    def scalars(self) -> Space: ...
    def read(self, flags: list[Any]) -> list[bool]: ...
    def holds(self, value: Any) -> bool: ...
    def version(self, value: Any) -> int: ...
    def received(self, output: Any, argument: Any, lasts: bool) -> Any: ...
    def frozen(self, value: Any) -> Any: ...
    def history(self, n: int, value: Any) -> Any: ...
    def rms(self, difference: Any) -> Any: ...
    @property
    def reference_rtol(self) -> float: ...
    @property
    def remedy(self) -> str: ...
    def host(self, value: Any) -> Any: ...
    def placed(self, array: Any) -> Any: ...
    def on_arrays(self, model: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]: ...
    def stored(self, value: Any) -> tuple[np.ndarray[Any, Any], str] | None: ...
    def number(self, x: object) -> Scalar: ...
    def field(self, x: object) -> Scalar: ...
    def coefficient(self, x: Scalar) -> Scalar: ...
    def is_zero(self, x: Scalar) -> bool: ...
    def array(self, values: Sequence[Scalar]) -> np.ndarray[Any, Any]: ...
    def combine(self, coefficients: Sequence[Scalar], values: Sequence[Any], out: Any = None) -> Any: ...
    def finite(self, value: Any) -> Any: ...
    def working(self) -> AbstractContextManager[object]: ...
    def exp(self, x: Scalar) -> Scalar: ...
    def expm1(self, x: Scalar) -> Scalar: ...
    def log(self, x: Scalar) -> Scalar: ...
    def log1p(self, x: Scalar) -> Scalar: ...
    def sqrt(self, x: Scalar) -> Scalar: ...
    def sin(self, x: Scalar) -> Scalar: ...
    def cos(self, x: Scalar) -> Scalar: ...
    def acos(self, x: Scalar) -> Scalar: ...
    def sinh(self, x: Scalar) -> Scalar: ...
    def asinh(self, x: Scalar) -> Scalar: ...


class GenericArithmetic(Memory):
    """Plain operators on scalars, object arrays and formal vectors: what every system but the NumPy floats uses."""

    written = True

    def array(self, values: Sequence[Scalar]) -> np.ndarray[Any, Any]:
        """Return the scalars as a 1-D object array, shape (n,)."""
        result = np.empty(len(values), dtype=object)
        result[:] = [self.number(v) for v in values]
        return result

    def number(self, x: object) -> Scalar:
        """Return `x` in this system; replaced by each system."""
        raise NotImplementedError

    def combine(self, coefficients: Sequence[Scalar], values: Sequence[Any], out: Any = None) -> Any:
        """Return sum_k coefficients[k] * values[k]; `out` is ignored, since values are immutable here."""
        total = None
        for c, v in zip(coefficients, values, strict=True):
            term = v if c == 1 else c * v
            total = term if total is None else total + term
        return total

    def working(self) -> AbstractContextManager[object]:
        """Return the context in which this system computes."""
        return nullcontext()


def float_in_exact_run(x: object, space_name: str) -> TypeError:
    """Return the error for a float that would enter a run whose digits all count."""
    try:
        hint = f"Fraction('{float(x)!r}')"  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        hint = "a Fraction"
    return TypeError(
        f"{x!r} is a {type(x).__name__}, and this run is in {space_name}, where its binary rounding would stay: write {hint}"
    )


def lift(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a scalar function that also takes object arrays, element by element."""

    def lifted(x: Any) -> Any:
        if isinstance(x, np.ndarray):
            return np.frompyfunc(function, 1, 1)(x)
        return function(x)

    return lifted


def decimal(x: Any) -> Fraction:
    """Return the number that was written: 0.1 is one tenth here, not the float nearest to it.

    Named schedules keep their decimal parameters in this form, so that every number system reads the same schedule.

    Raises
    ------
    ValueError
        For NaN and infinity.
    """
    if not isinstance(x, float | np.floating):
        return Fraction(x.item() if isinstance(x, np.integer) else x)
    if not np.isfinite(x):
        raise ValueError(f"{x!r} is not finite: pass a finite number")
    return Fraction(str(x))


def parameter(space: Space, x: object, *, written: bool = False) -> Scalar:
    """Return a solver's parameter in the field of a system; a float is the decimal that it prints as: 0.9 is 9/10.

    In runs on arrays of floats, whose space is not `written`, it is that float itself.
    """
    if isinstance(x, float | np.floating) and (written or space.written):
        x = decimal(x)
    return space.field(x)


def same_system(found: Space, space: Space) -> bool:
    """Say whether values of two systems meet in a run: arrays of one dtype (and device), else numbers of one kind."""
    return found == space if hasattr(space, "dtype") else type(found) is type(space)


_REGISTERED: list[tuple[Callable[[object], bool], Callable[[Any], Space]]] = []


def register(accepts: Callable[[object], bool], space_of: Callable[[Any], Space]) -> None:
    """Let another number system be found by `of`.

    Parameters
    ----------
    accepts
        Says whether a value belongs to the system. It must not import anything heavy.
    space_of
        Gives the space of such a value.
    """
    _REGISTERED.append((accepts, space_of))


def plain(name: str, x: Any) -> Any:
    """Return what a caller gave, a number, an array or nested lists of them, unless one of the arrays is of a class of its own.

    Masked arrays and matrices redefine sums, means and products, so that a run would lose a mask without a word; what another
    class redefines is not known. Arrays in a file, `numpy.memmap`, are plain.

    Raises
    ------
    TypeError
        For an instance of a subclass of `numpy.ndarray`, with what to pass instead.
    """
    if isinstance(x, np.ndarray):
        if type(x) is not np.ndarray and type(x) is not np.memmap:
            filled = f", or {name}.filled(...)" if hasattr(x, "filled") else ""
            raise TypeError(
                f"{name} is a {type(x).__name__}, and arrays of this class may redefine sums and products: "
                f"pass numpy.asarray({name}){filled}"
            )
    elif isinstance(x, list | tuple):
        for part in x:
            plain(name, part)
    return x


def of(x: object) -> Space:
    """Return the number system of a value.

    Parameters
    ----------
    x
        A scalar, an array of any shape, an object array of mpf, Fractions, balls or symbols, or a formal vector. Python floats
        and ints are read as float64.

    Raises
    ------
    TypeError
        For complex and integer arrays, for types that no system claims, and for object arrays that mix systems.
    """
    plain("z", x)
    if isinstance(x, np.ndarray) and x.dtype == object:
        if x.size == 0:
            raise TypeError("an empty object array has no number system: pass at least one state")
        return _of_elements(x)
    for accepts, space_of in _REGISTERED:
        if accepts(x):
            return space_of(x)
    kind = f"an array of dtype {x.dtype}" if isinstance(x, np.ndarray | np.generic) else f"a {type(x).__name__}"
    if type(x).__module__.partition(".")[0] == "torch":
        raise TypeError(
            "a Tensor is in no number system yet: import bdia_numerics.torch, which registers float tensors"
        )
    raise TypeError(
        f"{kind} is in no number system here: pass real floats (z.astype(float)), mpf, Fractions, balls or symbols"
    )


def _of_elements(x: np.ndarray[Any, Any]) -> Space:
    """Read the system off one element of each type; ints belong to any system."""
    kinds = {type(element): element for element in x.flat}
    found = [of(element) for kind, element in kinds.items() if kind is not int] or [of(x.flat[0])]
    for other in found[1:]:
        if other != found[0]:
            raise TypeError(f"an array mixes {found[0].name} with {other.name}: give all its elements in one system")
    return found[0]


def named(space: object) -> Space:
    """Return a space, given itself, a NumPy float dtype, or the types `Fraction` and `float`.

    Raises
    ------
    TypeError
        If it names none.
    """
    from bdia_numerics.spaces.floats import Numpy
    from bdia_numerics.spaces.rationals import FRACTION

    if space is Fraction:
        return FRACTION
    if hasattr(type(space), "coefficient"):  # isinstance would ask a property that some systems refuse, such as pi
        return space  # type: ignore[return-value]
    try:
        return Numpy(np.dtype(space))  # type: ignore[call-overload]
    except TypeError:
        raise TypeError(
            f"space={space!r} names no number system: use spaces.FLOAT64, "
            "spaces.MPMath(50), spaces.Balls(128), spaces.FRACTION or spaces.SYMBOLS"
        ) from None
