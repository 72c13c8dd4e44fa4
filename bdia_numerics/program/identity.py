"""Which solver this is: a text of its name and all its attributes, functions told apart by their values on a grid."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from bdia_numerics.grids import Grid
from bdia_numerics.program.ops import Slot
from bdia_numerics.spaces import kind_of

_DIGITS = 16
P = ParamSpec("P")
R = TypeVar("R")


def attributes(value: object) -> dict[str, Any]:
    """Return the attributes of an object: dataclass fields, then `__dict__`, then `__slots__`; no cached properties."""
    slots, computed = _of_class(type(value))  # type: ignore[arg-type]  # classes are hashable
    names = dict.fromkeys((*getattr(value, "__dataclass_fields__", ()), *getattr(value, "__dict__", ()), *slots))
    return {name: getattr(value, name) for name in names if name not in computed and hasattr(value, name)}


@lru_cache
def _of_class(kind: type) -> tuple[list[str], set[str]]:
    """Return the names of a class's slots, and of its cached properties."""
    slots = []
    for base in kind.__mro__:
        given = vars(base).get("__slots__", ())
        for name in (given,) if isinstance(given, str) else given:
            private = name.startswith("__") and not name.endswith("__")  # Python keeps it under another name
            slots.append(f"_{base.__name__.lstrip('_')}{name}" if private else name)
    computed = {name for base in kind.__mro__ for name, x in vars(base).items() if isinstance(x, cached_property)}
    return slots, computed | {"__dict__", "__weakref__"}


def identity(solver: object, grid: Grid | None = None) -> str:
    """Return the name of a solver with its parameters.

    Parameters
    ----------
    solver
        Any object.
    grid
        Where given, a function among the parameters is followed by a digest of its values on every slot of the whole
        grid (of the exception's name, where it raises one), so that parts of a grid agree and other functions of the
        same name do not. Otherwise it is its qualified name alone.
    """
    return _described(solver, None if grid is None else grid.entire, ())


def remembered(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function of a solver keep its last results, as long as the solver's attributes and its class's step stay what they are.

    A solver that cannot be hashed is computed each time.
    """

    @lru_cache(maxsize=256)
    def known(key: object, *arguments: Any) -> R:
        return function(*arguments)  # type: ignore[call-arg]  # by position alone

    @wraps(function)
    def asked(*arguments: P.args, **named: P.kwargs) -> R:
        try:
            hash(arguments)
        except TypeError:
            return function(*arguments, **named)
        if named or not arguments:
            return function(*arguments, **named)
        return known((identity(arguments[0]), getattr(type(arguments[0]), "step", None)), *arguments)

    return asked


def _described(value: object, grid: Grid | None, around: tuple[int, ...]) -> str:
    # An attribute may lead back to the solver itself.
    if id(value) in around:
        return "..."
    inside = (*around, id(value))
    values = attributes(value)
    pairs = (
        f"{k}={v.__qualname__ if k == 'step' and callable(v) else _named(v, grid, inside)}" for k, v in values.items()
    )
    return f"{type(value).__qualname__}({', '.join(pairs)})"


def _named(value: Any, grid: Grid | None, around: tuple[int, ...]) -> str:
    if isinstance(value, type):
        return value.__qualname__
    if callable(value) and not hasattr(value, "free_symbols"):
        name = str(getattr(value, "__qualname__", type(value).__qualname__))
        return name if grid is None else f"{name}#{_digest(';'.join(_values(value, grid)))}"
    if isinstance(value, np.ndarray):
        content = repr(value.tolist()) if kind_of(value) == "objects" else value.tobytes().hex()
        return f"array(shape={value.shape}, dtype={value.dtype}, {_digest(content)})"
    if isinstance(value, tuple | list | set | frozenset) and type(value).__repr__ in _PLAIN:
        return f"{type(value).__name__}({', '.join(_named(x, grid, around) for x in value)})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{k!r}: {_named(x, grid, around)}' for k, x in value.items())}}}"
    if hasattr(value, "__dataclass_fields__") or type(value).__repr__ is _UNSAID:
        return _described(value, grid, around)
    return repr(value)


_UNSAID: Any = object.__repr__
_PLAIN: tuple[Any, ...] = (tuple.__repr__, list.__repr__, set.__repr__, frozenset.__repr__)


def _values(function: Any, grid: Grid) -> Iterator[str]:
    for i in range(1, grid.n + 1):
        try:
            value = function(Slot(grid, i))
            # Numbers that are equal in the grid's system are one value, however they are written.
            yield repr(value) if isinstance(value, float) else str(grid.space.field(value))
        except Exception as error:  # noqa: BLE001 - a function of the slot may fail at ends that no step asks for
            yield type(error).__name__


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
