"""What a number system offers, and how it is read off a value."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from fractions import Fraction
from typing import Any, Literal, Protocol

import numpy as np

from bdia_numerics.spaces.memory import NOTHING, Array, Memory, States
from bdia_numerics.spaces.values import as_states
from bdia_numerics.texts import ratio, shown

Scalar = Any
"""A number of some system: float, longdouble, mpf, Fraction, ball, or a sympy expression."""


Kind = Literal["float", "integer", "objects", "other"]
_KINDS: dict[str, Kind] = {"f": "float", "i": "integer", "u": "integer", "O": "objects"}


def kind_of(array: Array | np.generic) -> Kind:
    """Return what an array is made of: floats, integers, Python objects such as mpf and Fractions, or none of these."""
    return _KINDS.get(array.dtype.kind, "other")


def is_float(x: object) -> bool:
    """Say whether a number is a float of Python's or of NumPy's."""
    return isinstance(x, float | np.floating)


class UndecidedError(ValueError):
    """A comparison that the radii of balls leave open."""


def vanishes(space: Numbers, x: Scalar) -> bool:
    """Say whether a coefficient is certainly zero, so that its term may be dropped; an undecided one is kept."""
    try:
        return space.is_zero(x)
    except UndecidedError:
        return False


Function = Callable[[Scalar], Scalar]


def lacked(function: str) -> Any:
    """Return a method of a system that does not have a function."""

    def method(self: Numbers, x: Scalar) -> Scalar:
        raise self.lacking(function)

    return method


class Numbers(Protocol):
    """A number system: exact values for what is proved, rounded ones for what runs, and what may be asked of either.

    `number` and `field` are the two doors in: `number` gives a scalar in which schedules compute, `field` its exact
    value (a Fraction, or an expression), in which step programs are collapsed. `coefficient` is the way back from the
    field, with one rounding where the system rounds at all. A function that a system lacks raises TypeError.

    By the capabilities code elsewhere tells systems apart. It asks for no class, so that a system that is registered from
    outside is served like those that are here.
    """

    exact: bool = False  # nothing is rounded
    encloses: bool = False  # every result holds the true value within a known radius
    symbolic: bool = False  # numbers may hold symbols, so that comparisons may stay open
    traced: bool = False  # numbers are expressions of a program that is compiled later, and stand for float64
    floats: bool = False  # numbers of the processor: arrays hold them by value, and NumPy computes with them
    integers: bool = False  # states are integers, to which each step adds rounded increments
    written: bool = True  # a float among a solver's parameters means the decimal that it prints as

    @property
    def name(self) -> str:
        """What messages call the system."""

    @property
    def double(self) -> bool:
        """Whether float64 has all digits of these numbers, so that SciPy's functions serve."""
        return False

    @property
    def eps(self) -> Fraction:
        """How far two numbers that follow each other lie apart, relative to them; 0 where nothing is rounded."""
        return Fraction(0)

    @property
    def wide(self) -> Space:
        """The system in which distributions are evaluated: this one, or float64 for shorter floats."""
        return self  # type: ignore[return-value]

    def cast(self, x: Any) -> Any:
        """Return a number or an array of this system, or of narrower floats, in it."""
        return x

    def guarded(self) -> Space:
        """Return a system with more digits, for long products that are to keep all digits of this one."""
        return self  # type: ignore[return-value]

    def number(self, x: object) -> Scalar:
        """Return `x` as a number of this system, rounded once where it rounds."""

    def field(self, x: object) -> Scalar:
        """Return the exact value of `x`: a Fraction, or an expression."""

    def coefficient(self, x: Scalar) -> Scalar:
        """Return an element of the field as a number of this system."""

    def is_zero(self, x: Scalar) -> bool:
        """Decide whether an element of the field is zero."""

    def array(self, values: Sequence[Scalar]) -> Array:
        """Return scalars as an array, shape (n,)."""

    def working(self) -> AbstractContextManager[object]:
        """Return the context in which this system computes."""
        return NOTHING

    def largest(self, values: Sequence[Scalar]) -> Scalar:
        """Return the largest of several numbers."""
        return max(values)

    def lacking(self, function: str) -> TypeError:
        """Return the error for a function that the system does not have."""
        return TypeError(f"{function} is not known in {self.name}")

    @property
    def pi(self) -> Scalar:
        """The circle constant."""
        raise self.lacking("pi")

    def expm1(self, x: Scalar) -> Scalar:
        """Return exp(x) - 1; systems that round have a function without cancellation near 0."""
        return self.exp(x) - 1

    def log1p(self, x: Scalar) -> Scalar:
        """Return log(1 + x); systems that round have a function without cancellation near 0."""
        return self.log(1 + x)

    exp: Function = lacked("exp")
    log: Function = lacked("log")
    sqrt: Function = lacked("sqrt")
    sin: Function = lacked("sin")
    cos: Function = lacked("cos")
    acos: Function = lacked("acos")
    atan: Function = lacked("atan")
    sinh: Function = lacked("sinh")
    asinh: Function = lacked("asinh")


class Space(Numbers, Memory, Protocol):
    """Numbers that are their own states: a run combines arrays of them, or single ones."""

    def states(self, array: Array) -> Array:
        """Return an array of floats, or of this system's numbers, as states of the system, floats at their exact values."""
        if kind_of(array) == "objects":
            return array
        return np.asarray(np.frompyfunc(lambda x: self.number(Fraction(float(x))), 1, 1)(array), dtype=object)


class GenericArithmetic(Space):
    """Plain operators on scalars, object arrays and formal vectors: what every system but the NumPy floats uses."""

    def array(self, values: Sequence[Scalar]) -> Array:
        """Return the scalars as a 1-D object array, shape (n,)."""
        result = np.empty(len(values), dtype=object)
        result[:] = [self.number(v) for v in values]
        return result

    def number(self, x: object) -> Scalar:
        """Return `x` in this system; replaced by each system."""
        raise self.lacking(f"{shown(x)}")

    def field(self, x: object) -> Scalar:
        """Return the exact value: the number itself, where nothing is rounded."""
        return self.number(x)

    def coefficient(self, x: Scalar) -> Scalar:
        """Return an element of the field as a number of the system: the element itself, where nothing is rounded."""
        return x

    def is_zero(self, x: Scalar) -> bool:
        """Decide whether an element of the field is zero."""
        return bool(x == 0)

    def finite(self, value: States) -> bool:
        """Exact numbers and expressions are finite."""
        return True

    def asked(self, model: Callable[[Any, Any], Any], z: States, t: Any) -> States:
        """Return a model's output; whatever precision the model leaves, the run goes on in its own."""
        with self.working():
            return super().asked(model, z, t)

    def combine(self, coefficients: Sequence[Scalar], values: Sequence[States], out: States = None) -> States:
        """Return sum_k coefficients[k] * values[k]; `out` is ignored, since values are immutable here."""
        total = None
        for c, v in zip(coefficients, values, strict=True):
            # A coefficient 1 leaves the value as it is: a product would round an mpf that has more digits than the run.
            term = v if c == 1 else c * v
            total = term if total is None else total + term
        return total


def float_in_exact_run(x: object, space_name: str) -> TypeError:
    """Return the error for a float that would enter a run whose digits all count."""
    try:
        hint = f"Fraction('{float(x)!r}')"  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        hint = "a Fraction"
    return TypeError(
        f"{shown(x)} is a {type(x).__name__}, and this run is in {space_name}, where its binary rounding would stay: write {hint}"
    )


def lift(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a scalar function that also takes object arrays, element by element."""

    def lifted(x: Any) -> Any:
        return np.frompyfunc(function, 1, 1)(x) if isinstance(x, np.ndarray) else function(x)

    return lifted


def borrowed(library: Callable[[], Any], name: str) -> Any:
    """Return a function of a library as a method of a system, for its numbers and object arrays of them."""

    def method(self: Numbers, x: Scalar) -> Scalar:
        with self.working():
            return lift(getattr(library(), name))(x)

    return method


def decimal(x: Any) -> Fraction:
    """Return the number that was written: 0.1 is one tenth here, not the float nearest to it.

    Named schedules keep their decimal parameters in this form, so that every number system reads the same schedule.

    Raises
    ------
    ValueError
        For NaN and infinity.
    """
    if isinstance(x, str):
        return ratio("number", x)
    if not is_float(x):
        return Fraction(x.item() if isinstance(x, np.integer) else x)
    if not np.isfinite(x):
        raise ValueError(f"{shown(x)} is not finite: pass a finite number")
    return Fraction(str(x))


def parameter(space: Numbers, x: object, *, written: bool = False) -> Scalar:
    """Return a solver's parameter in the field of a system; a float is the decimal that it prints as: 0.9 is 9/10.

    In runs on arrays of floats, whose space is not `written`, it is that float itself.
    """
    if is_float(x) and (written or space.written):
        x = decimal(x)
    return space.field(x)


def same_system(found: Any, space: Any) -> bool:
    """Say whether values of two systems meet in a run: arrays of one dtype (and device), else numbers of one kind."""
    # An mpf or a ball does not carry the precision of a run, so that only the kind of number is compared.
    return found == space if hasattr(space, "dtype") else type(found) is type(space)


def require_numpy(name: str, x: Any, remedy: str) -> None:
    """Raise TypeError for an array of another library."""
    if hasattr(x, "__array__") and not isinstance(x, np.ndarray | np.generic):
        raise TypeError(f"{name} is of class {type(x).__name__}, no array of NumPy: {remedy}")


def shaped(name: str, output: Any, z: Any) -> Any:
    """Return what a model gave for z; ValueError unless it has the shape of z, to which sums would stretch it without a word."""
    if np.shape(output) != np.shape(z):
        raise ValueError(f"{name} has shape {np.shape(output)}, z has {np.shape(z)}: return an array like z")
    return output


def admitted(space: Memory, name: str, output: Any) -> None:
    """Raise TypeError unless a model's output is in the system of a run."""
    if space.floats:
        require_numpy(name, output, "return numpy.asarray of it, or pass z in its library")
        found: Any = output.dtype if isinstance(output, np.ndarray | np.generic) else np.result_type(type(output))
        dtype = space.dtype  # type: ignore[attr-defined]  # what floats have
        if found != dtype:
            raise TypeError(f"{name} has dtype {found}, z has {dtype}: cast the output, or z")
        return
    require_system(name, output, space, "the run", "compute it there")


def require_system(name: str, value: Any, space: Any, others: str, remedy: str) -> None:
    """Raise TypeError unless a value is in the number system of the others."""
    found = of(value, name)
    if not same_system(found, space):
        raise TypeError(f"{name} is in {found.name}, {others} in {space.name}: {remedy}")


def require_finite(name: str, states: Any, space: Memory) -> None:
    """Raise ValueError for states that hold NaN or infinity."""
    if is_broken(states, space):
        raise ValueError(f"{name} holds NaN or infinite values: pass finite states")


def is_broken(states: Any, space: Memory) -> bool:
    """Say whether states are known to hold NaN or infinity; of traced ones nothing is known."""
    return space.read([space.finite(states)])[0] is False


Number = int | float | Fraction
"""A real number of a user's; a decimal means what it prints as, wherever a docstring says so."""

_REGISTERED: list[tuple[Callable[[object], bool], Callable[[Any], Space]]] = []
_OF_ARRAYS: dict[np.dtype[Any], Space] = {}
"""The systems of arrays by their dtype, none of objects: every run and every score asks for them."""


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


def of_class(module: str, name: str) -> Callable[[object], bool]:
    """Return what says whether a value is of a class of a library, which is not imported to find out."""

    def accepts(x: object) -> bool:
        library = sys.modules.get(module)
        return library is not None and isinstance(x, getattr(library, name))

    return accepts


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


def given(name: str, x: Any) -> Any:
    """Return states as a caller gave them, of which `as_states` makes arrays of floats where they are lists or whole numbers."""
    return as_states(name, plain(name, x))


def of(x: object, name: str = "") -> Space:
    """Return the number system of a value.

    Parameters
    ----------
    x
        A scalar, an array of any shape, an object array of mpf, Fractions, balls or symbols, or a formal vector. Python floats
        and ints are read as float64.
    name
        Of the argument, for the message.

    Returns
    -------
    Space
        The system, such as `spaces.FLOAT64`.

    Raises
    ------
    TypeError
        For complex and integer arrays, for types that no system claims, and for object arrays that mix systems.

    Examples
    --------
    >>> import numpy as np
    >>> from bdia_numerics import spaces
    >>> spaces.of(np.zeros(2, np.float32)).name
    'float32'
    """
    try:
        return _of(x)
    except TypeError as error:
        if not name:
            raise
        raise TypeError(f"{name}: {error}") from None


def _of(x: object) -> Space:
    if type(x) is np.ndarray and (known := _OF_ARRAYS.get(x.dtype)) is not None:
        return known
    plain("z", x)
    if isinstance(x, np.ndarray) and kind_of(x) == "objects":
        if x.size == 0:
            raise TypeError("an empty object array has no number system: pass at least one state")
        if hasattr(space := _of_elements(x), "dtype"):  # as a table with columns of several kinds makes them
            raise TypeError(
                f"an array of objects that are {space.name} numbers: make them floats with .astype(float), or fractions"
            )
        return space
    for accepts, space_of in _REGISTERED:
        if accepts(x):
            space = space_of(x)
            if type(x) is np.ndarray:
                _OF_ARRAYS[x.dtype] = space
            return space
    is_array = isinstance(x, np.ndarray | np.generic)
    kind = f"an array of dtype {x.dtype}" if is_array else f"{shown(x)}, a {type(x).__name__},"  # type: ignore[attr-defined]
    # Told by its name alone: torch is not imported here.
    if str(type(x).__module__).partition(".")[0] == "torch":
        raise TypeError(
            "a Tensor is in no number system yet: import bdia_numerics.torch, which registers float tensors"
        )
    raise TypeError(
        f"{kind} is in no number system here: pass an array of real floats, or of mpf, Fractions, balls or symbols"
    )


def _of_elements(x: Array) -> Space:
    """Read the system off one element of each type; ints belong to any system."""
    # One element of each type stands for all of that type: arrays of objects are long, and types few.
    kinds = {type(element): element for element in x.flat}
    found = [of(element) for kind, element in kinds.items() if kind is not int] or [of(x.flat[0])]
    for other in found[1:]:
        if other != found[0]:
            raise TypeError(f"an array mixes {found[0].name} with {other.name}: give all its elements in one system")
    return found[0]
