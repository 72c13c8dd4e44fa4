"""What the commands share in choosing: a solver, a law and a schedule from a word."""

from __future__ import annotations

import ast
import importlib
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

SCHEDULES = ("vp_linear", "vp_cosine", "edm", "ve", "flow")
_NONE = "solver={!r} is no solver: write BDIA, 'BDIA(gamma=9/10)' or module:name"
LAWS = ("mixture", "tight", "gaussian", "plane")


def solver(text: str) -> Any:
    """Return a solver: BDIA, 'BDIA(gamma=9/10)', 'McCallumFoster(1/2, base=RK4())', or my_module:MySolver of a file at hand.

    Numbers are exact: 9/10 and 0.9 are the same Fraction.

    Raises
    ------
    ValueError
        For a name that is none, and for what is no call with plain arguments.
    """
    place, colon, rest = text.partition(":")
    module = importlib.import_module(place) if colon and place.isidentifier() and _here(place) else None
    source = rest if module else text
    try:
        node = ast.parse(source.strip(), mode="eval").body
    except SyntaxError:
        raise ValueError(_NONE.format(text)) from None
    return _made(node, source.strip(), module)


def _here(place: str) -> bool:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        importlib.import_module(place)
    except ImportError as error:
        raise ValueError(f"solver={place}: there is no module {place} here ({error})") from None
    return True


def _made(node: ast.expr, text: str, module: Any) -> Any:
    from bdia_numerics import solvers

    call = node if isinstance(node, ast.Call) else None
    name = call.func if call else node
    if not isinstance(name, ast.Name):
        raise ValueError(_NONE.format(text))  # noqa: TRY004 - the text is wrong, not its type
    if module is not None and hasattr(module, name.id):
        make = getattr(module, name.id)
    else:
        make = getattr(solvers, name.id, None) if name.id in solvers.__all__ else None
        make = make or solvers.find(name.id)
    if not isinstance(make, type) and call is None:
        return make
    arguments = [_value(a, text) for a in call.args] if call else []
    named = {str(k.arg): _value(k.value, text) for k in call.keywords} if call else {}
    try:
        return make(*arguments, **named)
    except TypeError as error:
        raise ValueError(f"solver={text!r}: {error}") from None


def _value(node: ast.expr, text: str) -> Any:
    source = ast.get_source_segment(text, node) or ""
    if isinstance(node, ast.Call | ast.Name):
        return _made(node, text, None)
    try:
        return int(source)
    except ValueError:
        pass
    try:
        return Fraction(source.replace(" ", ""))
    except (ValueError, ZeroDivisionError):
        pass
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"solver={text!r}: {source} is no number, text or solver") from None


def law(text: str) -> Any:
    """Return a law by name: `LAWS`, or 'gaussian:0.5' with its standard deviation.

    Raises
    ------
    ValueError
        For another name.
    """
    from bdia_numerics import problems

    name, colon, size = text.partition(":")
    if name == "mixture" and not colon:
        return problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.6, 0.4])
    if name == "tight" and not colon:
        return problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.0]], [0.02, 0.05])
    if name == "plane" and not colon:
        return problems.GaussianMixture([0.4, 0.6], [[-1.0, 0.0], [1.0, 0.5]], [0.3, 0.4])
    if name == "gaussian":
        try:
            return problems.Gaussian([0], Fraction(size or "1") ** 2)
        except (ValueError, ZeroDivisionError):
            raise ValueError(f"problem={text!r}: {size!r} is no standard deviation, write gaussian:0.5") from None
    raise ValueError(f"problem={text!r} is unknown: use {', '.join(LAWS)}, or gaussian:0.5 with a standard deviation")


def schedule(text: str) -> Any:
    """Return a schedule by the name of its constructor; ValueError for another name."""
    from bdia_numerics import schedules

    if text not in SCHEDULES:
        raise ValueError(f"schedule={text!r} is unknown: use {', '.join(SCHEDULES)}")
    return getattr(schedules, text)()


def numbers(name: str, text: str) -> tuple[int, ...]:
    """Return the whole numbers of a list like 10,20,40; ValueError if it is none."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--{name}={text}: write whole numbers with commas, like 10,20,40") from None


def ratio(name: str, text: str) -> Fraction:
    """Return a number like 9/10 or 0.9; ValueError if it is none."""
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"--{name}={text} is no number: write 9/10 or 0.9") from None
