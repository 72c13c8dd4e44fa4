"""The datasheet: what is known of a solver, on one page."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from bdia_numerics.analysis.characteristic import characteristic_polynomial
from bdia_numerics.analysis.order import SymbolicOrder, symbolic_order
from bdia_numerics.analysis.stability_interval import StabilityInterval, stability_interval
from bdia_numerics.analysis.wording import equations, orders, quotient, terms_text
from bdia_numerics.analysis.zero_stability import ZeroStability, written, zero_stability
from bdia_numerics.program import (
    Invertibility,
    Solver,
    Structure,
    identity,
    invertibility,
    parameters,
    structure,
    symbolised,
)

T = TypeVar("T")
Rows = Iterator[tuple[str, str]]


@dataclass(frozen=True)
class Proved:
    """What follows from a solver's program, for given parameters or for all.

    Attributes
    ----------
    parameters
        Values as text, by name; empty if they are symbols.
    order, polynomial, zero_stability, real_interval, imaginary_interval
        Results of `symbolic_order`, `characteristic_polynomial`, `zero_stability` and `stability_interval`; None where there
        is none.
    inverse_polynomial, inverse_zero_stability
        Those of the derived inverse; None without one.
    refused
        Why there is none, by name of the attribute.
    """

    parameters: Mapping[str, str]
    order: SymbolicOrder | None
    polynomial: Any
    zero_stability: ZeroStability | None
    inverse_polynomial: Any
    inverse_zero_stability: ZeroStability | None
    real_interval: StabilityInterval | None
    imaginary_interval: StabilityInterval | None
    refused: Mapping[str, str]

    def rows(self) -> Rows:
        """Yield what it says, as (label, text)."""
        order = self.order
        if order is not None:
            y, s = order.variables
            yield "order", orders(order)
            yield "local error", "; ".join(f"{terms_text(terms)} in {name}" for name, terms in order.local.items())
            if set(order.local) == {order.output}:
                yield "next local order where", equations(order.local_condition)
            yield "error a step adds", terms_text(order.principal, lambda name: f"h^{order.order_uniform + 1} {name}")
            yield "next order, equal steps", equations(order.condition)
            if order.ddim_ratio is not None:
                yield (
                    "error over DDIM's",
                    quotient(order.ddim_ratio) + (" (a higher order)" if order.ddim_ratio == 0 else ""),
                )
            power = order.order_uniform + 1
            yield (
                "error constant",
                f"{quotient(order.error_constant)} (times {y}^({power}) h^{power}, in {s}; of DDIM 1/2)",
            )
        for label, polynomial, verdict in (
            ("sampling", self.polynomial, self.zero_stability),
            ("inverting", self.inverse_polynomial, self.inverse_zero_stability),
        ):
            if polynomial is not None:
                yield f"polynomial, {label}", quotient(polynomial)
            if verdict is not None:
                yield f"stability, {label}", str(verdict)
        for label, interval in (("real", self.real_interval), ("imaginary", self.imaginary_interval)):
            if interval is not None:
                where = "" if interval.valid in (True, _true()) else f" for {written(interval.valid)}"
                ends = (
                    f"0 < -h J < {quotient(interval.length)}"
                    if label == "real"
                    else f"|h J| < {interval.length}, h J imaginary"
                )
                yield f"stable, {label}", ("none" if interval.length == 0 else ends) + where
        yield from ((f"no {name.replace('_', ' ')}", reason) for name, reason in self.refused.items())


@dataclass(frozen=True)
class Datasheet:
    """What is known of a solver.

    Attributes
    ----------
    name, solver
        Its class, and with its parameters.
    structure
        Registers, model evaluations and passes over memory per step, read off the program.
    invertibility
        Whether the exact inverse exists, and under which condition.
    documented
        What its docstring says: "Order", "NFE", "Requires", "Source", ..., where it does.
    general
        What is proved with symbols for its parameters; None if it has none that can be symbols.
    given
        What is proved for its own parameters.
    """

    name: str
    solver: str
    structure: Structure
    invertibility: Invertibility | None
    documented: Mapping[str, str]
    general: Proved | None
    given: Proved

    def sections(self) -> Iterator[tuple[str, Rows]]:
        """Yield the page: titles, each with rows of (label, text)."""
        yield self.solver, self._program()
        if self.general is not None:
            yield "Proved for all parameters", self.general.rows()
        values = ", ".join(f"{k} = {v}" for k, v in self.given.parameters.items())
        yield f"Proved for {values}" if values else "Proved", self.given.rows()

    def as_dict(self) -> dict[str, Any]:
        """Return the page as text, numbers, lists and dicts."""
        shape, inverse = self.structure, self.invertibility
        return {
            "name": self.name,
            "solver": self.solver,
            "registers": list(shape.registers),
            "nfe": shape.nfe,
            "passes": shape.combinations,
            "invertible": None if inverse is None else inverse.invertible,
            "condition": "" if inverse is None or not inverse.invertible else str(inverse),
            "reason": "" if inverse is None else inverse.reason,
            "documented": dict(self.documented),
            "general": None if self.general is None else _plain(self.general),
            "given": _plain(self.given),
        }

    def _program(self) -> Rows:
        shape = self.structure
        yield (
            "registers",
            ", ".join(
                f"{name} ({'evaluation' if name in shape.evaluations else 'state'}, {lag} {'slot' if lag == 1 else 'slots'} behind)"
                if lag
                else name
                for name, lag in zip(shape.registers, shape.lags, strict=True)
            ),
        )
        yield "NFE per step", str(shape.nfe)
        yield "passes per step", str(shape.combinations)
        if self.invertibility is not None:
            yield "exactly invertible", str(self.invertibility)
        yield from ((f"docs: {key}", text) for key, text in self.documented.items())


def datasheet(solver: Solver) -> Datasheet:
    """Return the datasheet of a solver: everything that follows from its program.

    Parameters
    ----------
    solver
        Any object with `registers` and `step`.

    Returns
    -------
    Datasheet
        What a part has no result for is named in `refused`, with the reason.

    Raises
    ------
    TypeError, ValueError
        If the object is no solver, as `program.structure` says.
    """
    shape, general = structure(solver), symbolised(solver)
    given = {name: str(value) for name, value in parameters(solver).items()}
    try:
        verdict = invertibility(solver)
    except (ArithmeticError, AttributeError, TypeError, ValueError):  # a step that takes numbers only
        verdict = None
    return Datasheet(
        name=type(solver).__name__,
        solver=identity(solver),
        structure=shape,
        invertibility=verdict,
        documented={key: text for key in FIELDS if (text := documented(type(solver), key))},
        general=None if general is solver else _proved(general, {}),
        given=_proved(solver, given),
    )


FIELDS = ("Order", "Requires", "Source", "Same as")


def documented(make: Any, field: str) -> str:
    """Return a field of a solver's docstring, with its continued lines."""
    text = inspect.getdoc(make) or ""
    match = re.search(rf"^{field} {{2,}}(.*(?:\n {{6,}}.*)*)", text, flags=re.MULTILINE)
    return " ".join(match[1].split()) if match else ""


def _proved(solver: Solver, given: Mapping[str, str]) -> Proved:
    refused: dict[str, str] = {}

    def attempt(name: str, make: Callable[[], T]) -> T | None:
        try:
            return make()
        except (ArithmeticError, AttributeError, IndexError, TypeError, ValueError) as error:
            refused[name] = str(error)
            return None

    found = Proved(
        parameters=given,
        order=attempt("order", lambda: symbolic_order(solver)),
        polynomial=attempt("polynomial", lambda: characteristic_polynomial(solver)),
        zero_stability=attempt("zero_stability", lambda: zero_stability(solver)),
        inverse_polynomial=attempt("inverse", lambda: characteristic_polynomial(solver, direction="invert")),
        inverse_zero_stability=attempt("inverse_zero_stability", lambda: zero_stability(solver, "invert")),
        real_interval=attempt("real_interval", lambda: stability_interval(solver)),
        imaginary_interval=attempt("imaginary_interval", lambda: stability_interval(solver, "imaginary")),
        refused=refused,
    )
    if "inverse" in refused:
        refused.pop("inverse_zero_stability", None)
    return found


def _plain(found: Proved) -> dict[str, Any]:
    order, stable = found.order, (found.zero_stability, found.inverse_zero_stability)
    return {
        "parameters": dict(found.parameters),
        "order": None if order is None else _plain_order(order),
        "polynomial": _text(found.polynomial),
        "inverse_polynomial": _text(found.inverse_polynomial),
        "zero_stability": [None if x is None else {"stable": x.stable, "condition": str(x)} for x in stable],
        "real_interval": _text(found.real_interval and found.real_interval.length),
        "imaginary_interval": _text(found.imaginary_interval and found.imaginary_interval.length),
        "refused": dict(found.refused),
    }


def _plain_order(order: SymbolicOrder) -> dict[str, Any]:
    return {
        "rough": order.order_rough,
        "smooth": order.order_smooth,
        "uniform": order.order_uniform,
        "with_start": order.order_with_start,
        "registers": dict(order.register_orders),
        "local_error": {name: {e: str(c) for e, c in terms.items()} for name, terms in order.local.items()},
        "principal_error": {e: str(c) for e, c in order.principal.items()},
        "error_constant": str(order.error_constant),
        "ddim_ratio": _text(order.ddim_ratio),
        "condition": [str(e.lhs) for e in order.condition],
        "local_condition": [str(e.lhs) for e in order.local_condition],
        "latex": order.latex,
    }


def _text(x: Any) -> str | None:
    return None if x is None else str(x)


def _true() -> Any:
    import sympy

    return sympy.true
