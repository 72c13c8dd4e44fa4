"""What all public values and functions share: a safe ``==``, a hash, copies and pickles by arguments; and one order of arguments."""

from __future__ import annotations

import copy
import copyreg
import inspect
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from fractions import Fraction
from functools import wraps
from itertools import takewhile, zip_longest
from numbers import Integral, Real
from types import FrameType, MappingProxyType
from typing import Any, ParamSpec, TypeVar

import numpy as np

from bdia_numerics.texts import nearest, shown


def share(*objects: object) -> None:
    """Give ``==``, hash, copies and pickles by their arguments to the dataclasses and named tuples among some objects.

    A package hands over all that it exports. A value equals another one of its class whose arguments are equal, arrays by dtype,
    shape and elements, with NaN equal to NaN; the answer is always a bool. Copies and pickles are made by the constructor, so
    that they are read-only where the original is, and carry no caches.
    """
    for kind in objects:
        if isinstance(kind, type) and is_dataclass(kind):
            if "__init__" in vars(kind):  # not one that it inherits, which is answered for already
                kind.__init__ = answering(kind.__init__, kind.__name__)  # type: ignore[method-assign]
            _compared(kind, tuple(f.name for f in fields(kind) if f.init and f.compare))
            kind.__reduce__, kind.__copy__, kind.__deepcopy__ = _reduced, _copied, _deep  # type: ignore[attr-defined, method-assign]
        elif isinstance(kind, type) and issubclass(kind, tuple):
            _compared(kind, getattr(kind, "_fields", ()))


def _compared(kind: Any, names: tuple[str, ...]) -> None:
    parameters = getattr(kind, "__dataclass_params__", None)

    def equal(self: Any, other: object) -> Any:
        return NotImplemented if type(other) is not type(self) else same(_values(self, names), _values(other, names))

    def hashed(self: Any) -> int:
        return hash((kind, _key(_values(self, names))))

    kind.__eq__ = equal
    if parameters is None:
        kind.__ne__, kind.__hash__ = object.__ne__, hashed
    elif parameters.frozen and (parameters.eq or "__hash__" not in vars(kind)):
        kind.__hash__ = hashed


def _values(value: object, names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(getattr(value, name) for name in names)


def same(a: Any, b: Any) -> bool:
    """Say whether two arguments are equal: arrays by dtype and elements, containers and dataclasses part by part."""
    if a is b:
        return True
    if isinstance(a, tuple | list):  # first, since it is asked far faster than whether something is a Mapping
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(value, b[key]) for key, value in a.items())
    try:
        if type(a) is type(b) and type(a) in copyreg.dispatch_table:  # balls: equal enclosures, not equal numbers
            return bool(copyreg.dispatch_table[type(a)](a) == copyreg.dispatch_table[type(b)](b))
        if hasattr(a, "identical"):  # labelled arrays
            return bool(a.identical(b))
        if hasattr(a, "__array__") and hasattr(a, "shape") and not is_dataclass(a):
            return _same_arrays(a, b)
        if bool(a == b) or bool(a != a and b != b):
            return True
        if hasattr(a, "free_symbols"):  # sympy multiplies out some products when it copies them
            return bool((a - b).expand() == 0)
    except Exception:  # noqa: BLE001 - a comparison that fails finds no equality
        pass
    if not is_dataclass(a) or type(a) is not type(b):
        return False
    return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a) if f.init and f.compare)


def _same_arrays(a: Any, b: Any) -> bool:
    if isinstance(a, np.generic):
        return bool(a == b or (a != a and b != b))
    if type(a) is not type(b) or a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype == object:
        return all(map(same, a.flat, b.flat))
    return bool(((a == b) | ((a != a) & (b != b))).all())


def _key(value: Any) -> int:
    """Return a hash of a part of a value, equal for equal parts."""
    if value is None or type(value) is Fraction or isinstance(value, str | int | type):
        return hash(value)
    if isinstance(value, tuple | list):
        return hash(tuple(map(_key, value)))
    if isinstance(value, Mapping):
        return hash(frozenset((key, _key(x)) for key, x in value.items()))
    if isinstance(value, np.ndarray):
        content = tuple(map(_key, value.flat)) if value.dtype == object else (value + 0).tobytes()  # +0 for -0.0
        return hash((value.shape, content))
    ours = getattr(type(value).__eq__, "__module__", None) == __name__
    unlike = any(hasattr(value, name) for name in ("__array__", "free_symbols")) and not isinstance(value, np.generic)
    coarse = not ours and (is_dataclass(value) or unlike or value != value)
    try:
        return 0 if coarse else hash(value)
    except (TypeError, ValueError):  # of what can change, and of a ball that is not exact
        return 0


def _own_constructor(kind: Any) -> bool:
    """Say whether a class inherits from a dataclass and makes its instances in a way of its own."""
    after = takewhile(lambda base: "__dataclass_fields__" not in vars(base), kind.__mro__)
    return any("__init__" in vars(base) for base in after)


def _arguments(value: Any) -> dict[str, Any]:
    found = {f.name: getattr(value, f.name) for f in fields(value) if f.init}
    if _own_constructor(type(value)):
        found = dict(vars(value))
    return {name: dict(x) if isinstance(x, MappingProxyType) else x for name, x in found.items()}


def made(kind: Any, arguments: Mapping[str, Any]) -> Any:
    """Return the value of a class and its arguments, as unpickling does."""
    return bare(kind, arguments) if _own_constructor(kind) else kind(**arguments)


def bare(kind: Any, attributes: Mapping[str, Any]) -> Any:
    """Return an instance of a class with these attributes, of which its constructor makes nothing."""
    value = object.__new__(kind)
    vars(value).update(attributes)
    return value


def _functions(value: object) -> Iterator[Any]:
    if isinstance(value, tuple | list | Mapping):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _functions(part)
    elif callable(value) and not is_dataclass(value):
        yield value


def _by_value() -> bool:
    """Say whether the pickler that is at work is one that writes functions down, as a pool of processes uses."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] in ("cloudpickle", "dill"):
            return True
        frame = frame.f_back
    return False


def _reduced(self: Any) -> tuple[Any, ...]:
    arguments = _arguments(self)
    for name, argument in arguments.items():
        for function in _functions(argument):
            try:
                pickle.dumps(function)
            except Exception:  # noqa: BLE001 - each kind of function fails in its own way
                if _by_value():
                    continue
                what = getattr(function, "__qualname__", type(function).__qualname__)
                raise pickle.PicklingError(
                    f"{name} of {type(self).__name__} is {what}, which cannot be pickled: "
                    "define it at the top level of a module"
                ) from None
    return made, (type(self), arguments)


def _copied(self: Any) -> Any:
    return made(type(self), _arguments(self))


def _deep(self: Any, memo: dict[int, Any]) -> Any:
    return made(type(self), copy.deepcopy(_arguments(self), memo))


P = ParamSpec("P")
R = TypeVar("R")
ORDER = {
    "solver": ("solver", "solvers", "a", "b"),
    "model": ("model", "cond", "uncond", "score", "D"),
    "problem": ("problem", "problems"),
    "grid": ("grid", "grids", "family"),
    "schedule": ("schedule",),
    "states": ("z", "x_0", "state", "states"),
}
"""The kinds of arguments in the order that every public function has, and the names of parameters of a kind. A function takes a model or
a problem. What is of no kind comes after them."""
_STATES = {"z", "x_0"}
FORMER = {
    "start": ("end",),
    "trip": ("end",),
    "within": ("tolerance",),
    "wanted_error": ("tolerance",),
    "margin": ("tolerance",),
    "steps": ("nfe", "pattern"),
    "by": ("slots",),
    "spacing": ("variable",),
    "law": ("problem",),
    "scale": ("length",),
}
"""Names of parameters that had another meaning elsewhere or a second name here, and what stands for them now."""
_MARKS = (
    ("solver", "registers", "step"),
    ("problem", "flow", "sample"),
    ("grid", "level", "timesteps"),
    ("schedule", "log_snr", "drift"),
    ("states", "shape", "dtype"),
    ("states", "registers", "times"),
)
"""What objects of a kind have, and those of another kind do not. A model has no mark: it is any function."""


_REMEDIES = {
    "solver": "not a solver: it needs an attribute registers and a method step(s)",
    "model": "not callable: pass a function of (z, t)",
    "problem": "not a distribution: pass one of `problems`, or what has model, sample and flow",
    "grid": "not a Grid: make one, for instance grids.uniform(schedule, 20)",
    "schedule": "not a schedule: pass one of `schedules`, for instance schedules.vp_linear()",
    "state": "not a State: pass the .state of a Solution, or State.load(path); to start from data alone, use encode",
}
_SINGLE = {"a": "solver", "b": "solver", "cond": "model", "uncond": "model", "score": "model"} | {
    k: k for k in _REMEDIES
}
"""The kind that an argument of a name must have, if it is one alone and the annotation says no other."""

_NEEDED = {"problem": ("model", "flow"), "schedule": ("alpha", "sigma")}
"""What is asked of an object of a user's own: less than what tells kinds apart, since no function uses all of it."""


def of_kind(kind: str, name: str, value: Any, *marks: str) -> None:
    """Raise TypeError unless a value is a solver, model, problem, grid, schedule or state, or has the few attributes that are needed.

    >>> of_kind("grid", "grid", 0.5)
    Traceback (most recent call last):
    TypeError: grid=0.5 is not a Grid: make one, for instance grids.uniform(schedule, 20)
    """
    wanted = marks or _NEEDED.get(kind) or next((m[1:] for m in reversed(_MARKS) if m[0] in (kind, f"{kind}s")), ())
    if kind == "solver" and isinstance(value, str):
        raise TypeError(
            f"{name}={shown(value)} is text: pass an instance, such as {value[:40]}(), or names.solver({shown(value)})"
        )
    if isinstance(value, type) and kind != "model":
        known = ", which needs registers and a step of its own" if kind == "solver" else ""
        raise TypeError(f"{name}={value.__name__} is a class{known}: pass an instance, for instance {value.__name__}()")
    marked = callable(value) if kind == "model" else all(hasattr(value, mark) for mark in wanted)
    method = {"solver": "step", "schedule": "alpha"}.get(kind)  # a grid has alpha, too: as an array
    if not marked or (method and not callable(getattr(value, method))):
        raise TypeError(f"{name}={shown(value)} is {_REMEDIES[kind]}")
    if kind == "model":
        takes(name, value, "z", "t")


def takes(name: str, function: Any, *arguments: str) -> None:
    """Raise TypeError unless a function takes so many arguments; what is callable and has no signature is not refused.

    >>> takes("model", lambda z: z, "z", "t")
    Traceback (most recent call last):
    TypeError: model=<lambda>(z) does not take (z, t): pass a function of (z, t)
    """
    call = ", ".join(arguments)
    if not callable(function):
        raise TypeError(f"{name}={shown(function)} is not callable: pass a function of ({call})")
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        found.bind(*arguments)
    except TypeError:
        whole = getattr(function, "__name__", type(function).__name__)
        said = ", ".join(p if p.isidentifier() else "..." for p in found.parameters)
        raise TypeError(f"{name}={whole}({said}) does not take ({call}): pass a function of ({call})") from None


def require_count(name: str, value: Any, least: int, what: str = "") -> None:
    """Raise ValueError unless a value is a whole number from `least` on; `what` says in the message what another one is not."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name}={shown(value)}{what}: pass an int of at least {least}")


def as_states(name: str, x: Any, *, exact: bool = False) -> Any:
    """Return states as an array of floats in the machine's own order of bytes, where they are a list, whole numbers or of another order.

    With `exact` a list of other things, such as balls and fractions, is left to the function that takes it.

    Raises
    ------
    TypeError
        For a list of other things or with rows of different lengths, and for a Solution, with what to pass of it.

    >>> as_states("z", [[0, 1]])
    array([[0., 1.]])
    """
    if isinstance(x, list | tuple):
        elements = np.asarray(x, object)
        for element in elements.flat:
            if isinstance(element, bool) or not isinstance(element, int | float | np.integer):
                if exact:
                    return x
                raise TypeError(
                    f"{name} is a list that holds {shown(element)}, a {type(element).__name__}: "
                    "pass an array, or a list of numbers with rows of equal lengths"
                )
        return elements.astype(np.float64)
    if isinstance(x, np.ndarray):
        if x.dtype.kind in "iu":
            return x.astype(np.float64)
        return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))
    if hasattr(x, "state") and hasattr(x, "z"):
        raise TypeError(
            f"{name}={shown(x)} is a {type(x).__name__}: pass its .z, or its .state, which has all registers"
        )
    return x


def _sequence(x: Any) -> bool:
    return isinstance(x, Iterable) and not isinstance(x, str | bytes | Mapping)


def _whole(x: Any) -> bool:
    return not isinstance(x, bool) and isinstance(x, Integral)


def _number(x: Any) -> bool:
    return not isinstance(x, bool) and isinstance(x, Real)


_FORMS: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
    (("Mapping[",), lambda x: isinstance(x, Mapping), "a mapping: pass a dict from labels, such as {'label': ...}"),
    (
        ("Sequence[int]", "Iterable[int]"),
        lambda x: _sequence(x) and all(map(_whole, x)),
        "a sequence of whole numbers: pass numbers like (10, 20, 40)",
    ),
    (("Iterable[", "Sequence["), lambda x: _sequence(x) or isinstance(x, Mapping), "a collection: pass a list of them"),
    (("Callable[", "Callback", "Progress", "Watch"), callable, "callable: pass a function"),
    (("float$",), lambda x: _number(x) and x == x, "a number: pass a float"),
    (("int$",), _whole, "a whole number: pass an int"),
)
"""What annotations begin with, what of it is looked at, and what is said of another value."""
_ELSEWHERE = ("n", "pattern")
"""Checked by their functions, in words of their own."""


def _form(annotation: str) -> tuple[Callable[[Any], bool], str] | None:
    whole = annotation.removesuffix(" | None") + "$"
    return next(((test, said) for heads, test, said in _FORMS if whole.startswith(heads)), None)


def answering(function: Callable[P, R], called: str) -> Callable[P, R]:
    """Make a function say what is missing, or what is not among its parameters, with what it takes."""
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
    names = [p.name for p in parameters]
    call = f"{called}({', '.join(p.name if p.default is p.empty else f'{p.name}=' for p in parameters if p.kind is not p.VAR_KEYWORD)})"

    @wraps(function)
    def answered(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            # Only a call that did not come about leaves no frame of its own.
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise
            said = str(error).partition(") ")[2] or str(error)
            unknown = next((k for k in kwargs if k not in names), "")
            near = " or ".join(f"{name}=" for name in nearest(unknown, names) if unknown)
            said = f"there is no parameter {unknown}={shown(kwargs[unknown])}" if unknown else said
            raise TypeError(f"{called}: {said}: use {near and f'{near} of '}{call}") from None

    return answered


def ordered(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function refuse arguments of another kind or order than `ORDER` says, and names of `FORMER`, with what is right.

    >>> @ordered
    ... def best(problem, grid, *, end="noise"): ...
    >>> best(1.0, None, trip="data")
    Traceback (most recent call last):
    TypeError: best: trip= is gone: use end=
    """
    parameters = inspect.signature(function).parameters
    positional = [name for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    kinds = {name: kind for kind, names in ORDER.items() for name in names}
    taken = [kinds.get(name, name) for name in positional]
    # What may stand for one of a kind, by the annotation; Any with None by default is the function's own matter.
    able: dict[str, tuple[type, ...]] = {
        name: (int, float, np.number)
        if "float" in str(p.annotation)
        else ()
        if p.default is not None
        else (type(None),)
        for name, p in parameters.items()
        if name in _SINGLE and not (p.default is None and p.annotation in ("Any", Any))
    }
    call = f"{function.__name__}({', '.join(name for name in positional if parameters[name].default is inspect.Parameter.empty)})"
    forms = {
        name: form for name, p in parameters.items() if name not in _ELSEWHERE and (form := _form(str(p.annotation)))
    }
    called = answering(function, function.__name__)

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            today = [new for new in FORMER.get(name, ()) if new in parameters and name not in parameters]
            if today:
                raise TypeError(f"{function.__name__}: {name}= is gone: use {today[0]}=")
        given = list(zip(taken, map(_kind, args), strict=False))
        for wanted, found in given:
            # An argument is misplaced if it is of the kind of another parameter, which was not given one of its kind.
            if found != wanted and found in taken and (found, found) not in given:
                first, second = sorted((wanted, found), key=taken.index)
                raise TypeError(f"{function.__name__}: the {first} comes before the {second}: {call}")
        for name, value in (*zip(positional, args, strict=False), *kwargs.items()):
            if name in able and not isinstance(value, able[name]):
                of_kind(_SINGLE[name], name, value)
            if value is not None and name in forms and not forms[name][0](value):
                raise TypeError(f"{name}={shown(value)} is not {forms[name][1]}")
        for name in _STATES & kwargs.keys():
            kwargs[name] = as_states(name, kwargs[name], exact=True)
        whole: Any = (
            as_states(name, x, exact=True) if name in _STATES else x
            for name, x in zip_longest(positional[: len(args)], args)
        )
        return called(*whole, **kwargs)

    return checked


def _kind(argument: Any) -> str:
    """Return the kind of an argument, or of the first of several; empty for numbers, classes and plain functions."""
    if isinstance(argument, Mapping | list | tuple):
        argument = next(iter(argument.values() if isinstance(argument, Mapping) else argument), None)
    if isinstance(argument, type) or not getattr(argument, "shape", True):
        return ""
    return next((kind for kind, *marks in _MARKS if all(hasattr(argument, mark) for mark in marks)), "")
