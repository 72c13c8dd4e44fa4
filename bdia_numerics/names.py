"""The register of names: every solver, schedule, distribution and grid that a text can name, each once, and the one reader of them.

A text is a name of the register in any case, `bdia`, or `module:object`, an object of a module in the present folder, `my_module:Mine`, or
in another one, `folder/my_module.py:Mine`. Options stand behind it: `bdia:gamma=9/10`, `karras:rho=5,t_min=0.1`, `gaussian:0.5`; or, as in
Python, `BDIA(gamma=9/10)`, `McCallumFoster(1/2, base=RK4)`. Numbers are exact: 9/10 and 0.9 are the same Fraction.

What models predict is in `models.PREDICTIONS`, inversions in `inversion.INVERSIONS`.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import sysconfig
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING
from functools import partial
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import numpy as np

from bdia_numerics import grids, problems, schedules, solvers
from bdia_numerics.grids import Grid, training_steps
from bdia_numerics.grids.grid import slots_of
from bdia_numerics.program import Solver, parameters, refusal, structure
from bdia_numerics.program.identity import attributes
from bdia_numerics.texts import distinct, instead, listed, one_of, ratio, refuse, shown

DTYPES = ("float16", "bfloat16", "float32", "float64", "longdouble")
"""Floats of states. NumPy has no bfloat16, and torch no longdouble."""
NUMPY_DTYPES, TORCH_DTYPES = ("float16", "float32", "float64"), DTYPES[:4]
ARRAY_DTYPES = (*NUMPY_DTYPES, "longdouble")

SCHEDULES: Mapping[str, Callable[[], Any]] = {
    "vp_linear": schedules.vp_linear,
    "vp_cosine": schedules.vp_cosine,
    "edm": schedules.edm,
    "ve": schedules.ve,
    "flow": schedules.flow,
    "ddpm_linear": schedules.ddpm_linear,
    "stable_diffusion": schedules.stable_diffusion,
    "ddpm": schedules.ddpm_linear,
    "sd": schedules.stable_diffusion,
}
"""The last two are short for the two before them."""
DISCRETE = ("ddpm_linear", "stable_diffusion")


def _modes(variance: float, scale: float = 1.0) -> problems.GaussianMixture:
    means = (scale * np.array([[-1.3], [-0.1], [1.05]])).tolist()
    return problems.GaussianMixture([0.3, 0.3, 0.4], means, [scale**2 * variance] * 3)


def _gaussian(deviation: Any = 1) -> problems.Gaussian:
    if isinstance(deviation, str) or deviation <= 0:
        raise ValueError(f"{str(deviation)!r} is not a standard deviation, write gaussian:0.5")
    return problems.Gaussian([0], deviation**2)


DISTRIBUTIONS: Mapping[str, Callable[..., Any]] = {
    "mixture": lambda: problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.6, 0.4]),
    "tight": lambda: problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.0]], [0.02, 0.05]),
    "plane": lambda: problems.GaussianMixture([0.4, 0.6], [[-1.0, 0.0], [1.0, 0.5]], [0.3, 0.4]),
    "peaks": lambda: problems.GaussianMixture([0.4, 0.6], [[-1.0, 0.0], [1.0, 0.5]], [0.05, 0.1]),
    "gaussian": _gaussian,
    "modes": lambda: _modes(0.049),
    "broad": lambda: problems.GaussianMixture([0.5, 0.5], [[-0.5], [0.5]], [0.75, 0.75]),
    "small": lambda: _modes(0.049, 0.25),
    "sharp": lambda: _modes(1e-5),
    "digits": lambda: problems.Empirical(problems.digits(), bandwidth=0.05),
}
"""Two modes on the line, wide and tight; two in the plane, wide and narrow; a Gaussian of a standard deviation; three modes with variance 1
in all; two wide ones; the three at a quarter of their size; the three with width 0.003; scikit-learn's digits, sharp (64 dimensions)."""


def _quad(schedule: Any, n: int) -> Grid:
    """Return the quadratic grid of the DDIM paper: squares of n even numbers up to the root of 0.8 T, then clean data."""
    times = {int(t) for t in np.linspace(0, np.sqrt(0.8 * training_steps(schedule, n, "quad")), n) ** 2}
    return grids.from_timesteps(schedule, sorted(times, reverse=True), 1)


def _cut(schedule: Any, n: int) -> Grid:
    """Return "leading" without its last slot: it ends at t = 0, and has n-1 slots."""
    step = training_steps(schedule, slots_of(n, 2), "cut") // n
    return grids.from_timesteps(schedule, [k * step for k in reversed(range(n))])


def _flow(schedule: Any, n: int, *, t_max: Any = None, t_min: Any = None) -> Grid:
    """Return equal steps of u = sigma/(alpha + sigma), which is the time of a flow schedule."""
    ends = grids.uniform(schedule, slots_of(n), t_max=t_max, t_min=t_min)
    last, *_, first = (ends.sigma / (ends.alpha + ends.sigma)).tolist()
    inner = (first + (last - first) * k / n for k in range(1, n))
    low, *_, high = ends.t.tolist()
    return grids.from_timesteps(schedule, [high, *(float(schedule.time("sigma_bar", u / (1 - u))) for u in inner), low])


_SPAN, _LAST = ("t_max", "t_min"), ("final_alpha",)
GRIDS: Mapping[str, tuple[Callable[..., Grid], tuple[str, ...]]] = {
    "uniform": (grids.uniform, _SPAN),
    "quadratic": (grids.quadratic, _SPAN),
    "log_snr": (grids.log_snr, _SPAN),
    "asinh": (grids.asinh, _SPAN),
    "angle": (grids.angle, _SPAN),
    "flow": (_flow, _SPAN),
    "karras": (grids.karras, (*_SPAN, "rho", "append_zero")),
    "smooth": (partial(grids.alternating, ratio=1), (*_SPAN, "variable")),
    "alternating": (grids.alternating, (*_SPAN, "variable", "ratio")),
    "random": (grids.random, (*_SPAN, "variable", "ratio", "seed")),
    "leading": (grids.leading, (*_LAST, "steps_offset")),
    "linspace": (grids.linspace, _LAST),
    "trailing": (grids.trailing, _LAST),
    "leading+1": (partial(grids.leading, steps_offset=1, final_alpha=None), ()),
    "cut": (_cut, ()),
    "quad": (_quad, ()),
}
"""By name: the constructor and its options. From "leading" on they count the training steps of a discrete schedule: diffusers' spacings;
"leading" with one step of offset down to t = 0; "leading" without its tiny last slot; the quadratic one of the DDIM paper."""

FAMILIES = tuple(name for name, (_, options) in GRIDS.items() if "variable" in options)
"""How grids are refined when orders are measured: those with steps of a variable, from which `analysis.GridFamily` has its kinds."""


def solver(text: str, **values: Any) -> Solver:
    """Return the solver that a text names.

    Parameters
    ----------
    text
        A name of `solvers`, or `module:object` (a class or an instance), with parameters behind it. A word that names no solver is a text.
    values
        Further parameters, texts or values; they override those of the text.

    Raises
    ------
    ValueError
        For a name that is not known, a module or object that is not there, a parameter that the solver does not have, or a value
        that it refuses.

    Examples
    --------
    >>> solver("bdia:gamma=9/10")
    BDIA(gamma=Fraction(9, 10), allow_any=False)
    """
    make, positional, named = read("solver", text, _SOLVERS)
    named |= {name: number(name, value) if isinstance(value, str) else value for name, value in values.items()}
    if isinstance(make, type):
        fields = [key for key, field in getattr(make, "__dataclass_fields__", {}).items() if field.init]
        for key in named:
            if key not in fields:
                raise ValueError(
                    f"{key} is not a parameter of {make.__name__}, which takes {', '.join(fields) or 'none'}"
                )
    found = object_made("solver", text, make, positional, named, not isinstance(make, type))
    try:
        structure(found)
    except (TypeError, ValueError) as error:
        if (said := refusal(error)) == str(error):
            raise
        reads = (
            "a step is read on symbols before it runs: take arithmetic, or a parameter that is a function of the slot"
        )
        raise TypeError(f"{text}: {said}; {reads}") from error
    return found


def options_of(solver: Any) -> dict[str, str]:
    """Return the parameters of a solver as texts that `solver` reads: those that are numbers, and others where they are not the default.

    >>> options_of(solvers.Composed(solvers.ALF("angle")))
    {'base': 'ALF(variable=angle)'}
    """
    numbers, plain = parameters(solver), _defaults(type(solver))
    return {
        name: written(value) if hasattr(value, "step") else str(value)
        for name, value in attributes(solver).items()
        if name in numbers or name not in plain or value != plain[name]
    }


def written(solver: Any) -> str:
    """Return a solver with its parameters as `solver` reads it; two that differ have different texts.

    >>> written(solvers.SymmetricMultistep(3, variable="angle"))
    'SymmetricMultistep(k=3, c=1/4, c2=4/5, variable=angle)'
    """
    return f"{type(solver).__name__}({', '.join(f'{name}={value}' for name, value in options_of(solver).items())})"


def _defaults(kind: Any) -> dict[str, Any]:
    fields = getattr(kind, "__dataclass_fields__", {}).items()
    made = {name: field.default_factory() for name, field in fields if field.default_factory is not MISSING}
    return {name: field.default for name, field in fields if field.default is not MISSING} | made


def schedule(text: str) -> Any:
    """Return the schedule that a text names: of `SCHEDULES`, or `module:object`; ValueError for another."""
    return _having(("alpha", "sigma"), "schedule", text, SCHEDULES)


def distribution(text: str) -> Any:
    """Return the distribution that a text names.

    Parameters
    ----------
    text
        A name of `DISTRIBUTIONS` with options behind it, 'gaussian:0.5'; or `module:object`, a distribution or what makes one.

    Returns
    -------
    Problem

    Raises
    ------
    ValueError
        For a name that is not known, and for an object without `model`, `sample` and `dimension`.

    Examples
    --------
    >>> from bdia_numerics import names
    >>> names.distribution("plane").dimension
    2
    """
    return _having(("model", "sample", "dimension"), "distribution", text, DISTRIBUTIONS)


def _having(members: tuple[str, ...], name: str, text: str, known: Mapping[str, Any]) -> Any:
    """Return what a text names of a kind of objects, which have these members."""
    make, positional, named = read(name, text, known)
    found = object_made(name, text, make, positional, named, hasattr(make, members[0]) and not isinstance(make, type))
    if missing := [member for member in members if not hasattr(found, member)]:
        raise ValueError(f"{name}={shown(text)} has no {' and '.join(missing)}: name a {name}, or what makes one")
    return found


def grid(text: str) -> Callable[..., Grid]:
    """Return what makes a grid of a schedule and a number of slots.

    Parameters
    ----------
    text
        A name of `GRIDS` with options behind it, 'karras:rho=5', 'alternating:ratio=3,variable=log_snr', 'leading:steps_offset=1'; or
        `module:object`, a function of a schedule and a number of slots.

    Returns
    -------
    callable
        ``(schedule, n, **options) -> Grid``; options that this kind of grid has not, such as a seed, are left out, and those of the text
        come first.

    Raises
    ------
    ValueError
        For another name, an option that it has not, and a value that is none.
    """
    entry, positional, own = read("grid", text, GRIDS)
    make, known = entry if isinstance(entry, tuple) else (entry, None)
    if not callable(make) or positional:
        raise ValueError(f"grid={shown(text)} makes no grid: name a function of a schedule and a number of slots")
    known = tuple(inspect.signature(make).parameters)[2:] if known is None else known
    for key in own:
        if key not in known:
            takes = (
                f"which takes {', '.join(known)}, like {text.partition(':')[0]}:{known[0]}=1"
                if known
                else "which takes none"
            )
            raise ValueError(
                f"grid={shown(text)}: {key}={own[key]} is not an option of {text.partition(':')[0]}, {takes}"
            )

    def made(schedule: Any, n: int, **options: Any) -> Grid:
        found = make(schedule, n, **{key: value for key, value in options.items() if key in known} | own)
        if not isinstance(found, Grid):
            raise ValueError(  # noqa: TRY004
                f"grid={shown(text)} returned {type(found).__name__}: return what a function of `grids` makes"
            )
        return found

    return made


def counts_steps(text: str) -> bool:
    """Return whether a grid counts training steps, which takes a discrete schedule."""
    entry = GRIDS.get(text.partition(":")[0].partition("(")[0].lower())
    return entry is not None and "t_max" not in entry[1]


def number(name: str, text: str) -> Any:
    """Return 9/10 and 0.9 as exact fractions, true, false and none as such, and any other word as it is."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if text.isidentifier():
        return text
    value = ratio(name, text)
    return int(value) if value.denominator == 1 else value


_SOLVERS = {name: getattr(solvers, name) for name in solvers.__all__ if isinstance(getattr(solvers, name), type)}
_WORDS = {"true": True, "false": False, "none": None}
_PLACE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*|[^():]*\.py")
_PAIRS = re.compile(r"\s*\w+\s*=")


def read(
    name: str, text: str, known: Mapping[str, Any], *, words: bool = False
) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """Return what a text names, of a table or of a module, and the options behind it; ValueError, with the nearest names, for another.

    With `words` an option is a number, a list or a text, and no solver, as those of other libraries are: dpmsolver, dpmsolver++.
    """
    if len(text) > 2000:
        raise ValueError(f"{name}={text[:37]}... is longer than 2,000 letters: name one {name}")
    lowered = {word.lower(): word for word in known}
    if text.strip().lower() in lowered:
        return known[lowered[text.strip().lower()]], (), {}
    head, colon, rest = text.partition(":")
    module = None
    if not colon or "(" in head:
        source = text
    elif head.strip().lower() in lowered or (_PAIRS.match(rest) and ":" not in rest):
        pairs = (part.partition("=") for part in listed(rest)) if words else ()
        source = f"{head}({', '.join(f'{key}={value!r}' for key, _, value in pairs) or rest})"
    else:
        module = _module(name, head.strip())
        object_, colon, rest = rest.partition(":")
        source = f"{object_}({rest})" if colon and "(" not in object_ else text.partition(":")[2]
    try:
        node = ast.parse(source.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        node = None
    call = node if isinstance(node, ast.Call) else None
    word = call.func if call else node
    if not isinstance(word, ast.Name) or (module is None and not known):
        examples = ["BDIA, 'BDIA(gamma=9/10)'"] if name == "solver" else [*known][:1]
        raise ValueError(f"{name}={shown(text)} is not a {name}: write {' or '.join([*examples, 'module:name'])}")
    make = None if module is None else _object(name, module, word.id)
    if module is None and (make := known.get(lowered.get(word.id.lower(), ""))) is None:
        if known is _SOLVERS:
            solvers.find(word.id)  # refuses, with the nearest names
        one_of(name, word.id, known)
    distinct(f"{name}={shown(text)}: parameter", [k.arg for k in call.keywords] if call else ())
    value_of = _word if words else _value
    values = {str(k.arg): value_of(str(k.arg), k.value, source.strip()) for k in call.keywords} if call else {}
    positional = tuple(_value("a parameter", a, source.strip()) for a in call.args) if call else ()
    return make, positional, values


def _value(name: str, node: ast.expr, source: str) -> Any:
    text = ast.get_source_segment(source, node) or ""
    inner = node.func if isinstance(node, ast.Call) else node
    if isinstance(inner, ast.Name) and (isinstance(node, ast.Call) or inner.id.lower() in map(str.lower, _SOLVERS)):
        return solver(text)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return number(name, text)


def _word(name: str, node: ast.expr, source: str) -> Any:
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    text = str(node.value) if is_text else ast.get_source_segment(source, node) or ""  # type: ignore[attr-defined]
    for reader in (partial(number, name), ast.literal_eval):
        with suppress(ValueError, SyntaxError):
            return reader(text)
    return text


def object_made(
    name: str, text: str, make: Any, positional: tuple[Any, ...], named: dict[str, Any], ready: bool
) -> Any:
    """Return a ready object as it is, and otherwise what is made with the options; ValueError for options that it does not take."""
    if ready:
        if positional or named:
            raise ValueError(
                f"{name}={shown(text)} names an instance, which has its parameters: name the class to set them"
            )
        return make
    try:
        inspect.signature(make).bind(*positional, **named)
        return make(*positional, **named)
    except TypeError as error:
        raise ValueError(f"{name}={shown(text)} cannot be made so ({error})") from None
    except Exception as error:
        if name == "solver" and isinstance(error, ValueError):  # its message names the parameter
            raise
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"{name}={shown(text)}: {kind}{error}") from None


# Modules


def module_of(text: str) -> str | None:
    """Return the module of a text `module:object`, which can be imported from here on; None if it names none."""
    place, colon, _ = text.partition(":")
    known = {*map(str.lower, _SOLVERS), *GRIDS, *DISTRIBUTIONS, *SCHEDULES}
    if not colon or not _PLACE.fullmatch(place) or place.lower() in known:
        return None
    folder, name = _place(place)
    _search(folder)
    return name


def _place(place: str) -> tuple[Path, str]:
    path = Path(place)
    return (path.resolve().parent, path.stem) if place.endswith(".py") else (Path.cwd(), place)


def _search(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _object(name: str, module: Any, word: str) -> Any:
    found = getattr(module, word.strip(), None)
    if found is None:
        near = instead(word, [key for key in vars(module) if not key.startswith("_")] or ["another"])
        raise ValueError(f"{name}={module.__name__}:{word}: {module.__name__} has no {word}, use {near}")
    return found


def _module(name: str, place: str) -> Any:
    """Return the module of a file in the present folder, or of the user's own path; an installed one of that name is refused."""
    if not _PLACE.fullmatch(place):
        raise ValueError(f"{name}={shown(place)}: write module:object, with the name of a file, such as my_module:Mine")
    folder, dotted = _place(place)
    top = dotted.partition(".")[0]
    own = next((path for path in (folder / f"{top}.py", folder / top) if path.exists()), None)
    other = _elsewhere(top, folder)
    installed = other is not None and (other == "" or _is_installed(Path(other)))
    refuse(
        (
            own is None and place.endswith(".py"),
            f"{name}={place}: the module {place} cannot be imported (there is no such file)",
        ),
        (
            installed and own is not None,
            f"{name}={place}: {getattr(own, 'name', '')} has the name of an installed package, {top}: give it another name",
        ),
        (
            installed,
            f"{name}={place}: {top} is an installed package, and there is no {top}.py in {folder}: copy what you name into a file here",
        ),
    )
    if own is not None:
        _search(folder)
        there = getattr(sys.modules.get(top), "__file__", None)
        if there is not None and Path(there).resolve() not in (own.resolve(), (own / "__init__.py").resolve()):
            for key in [
                key for key in sys.modules if key.partition(".")[0] == top
            ]:  # of another folder, with the same name
                del sys.modules[key]
            sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        return importlib.import_module(dotted)
    except Exception as error:  # noqa: BLE001 - a user's file can raise whatever it likes
        absent = isinstance(error, ModuleNotFoundError) and error.name == top
        raise ValueError(
            f"{name}={place}: the module {place} cannot be imported ({type(error).__name__}: {error})"
            + (f": put {top}.py into {folder}" if absent else "")
        ) from None


def _elsewhere(top: str, folder: Path) -> str | None:
    """Return where else than in a folder a module of that name is; "" for one of the interpreter, None if it is nowhere."""
    if top in sys.stdlib_module_names or top in sys.builtin_module_names:
        return ""
    found = PathFinder.find_spec(top, [entry for entry in sys.path if Path(entry or ".").resolve() != folder.resolve()])
    return None if found is None else str(found.origin or next(iter(found.submodule_search_locations or []), ""))


def _is_installed(path: Path) -> bool:
    libraries = (Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "platstdlib"))
    path = path.resolve()
    return bool({"site-packages", "dist-packages"} & set(path.parts)) or any(path.is_relative_to(x) for x in libraries)
