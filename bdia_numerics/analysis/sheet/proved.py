"""What follows from a solver's program: orders, polynomials and stability, in words, with the reasons where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from bdia_numerics.analysis.expansion.order import PatternOrder, SymbolicOrder, order_on_pattern, symbolic_order
from bdia_numerics.analysis.expansion.step import symbols_of
from bdia_numerics.analysis.measurement.families import GridFamily
from bdia_numerics.analysis.stability.characteristic import characteristic_polynomial
from bdia_numerics.analysis.stability.stability_interval import StabilityInterval, stability_interval
from bdia_numerics.analysis.stability.zero_stability import ZeroStability, written, zero_stability
from bdia_numerics.program import Solver, refusal
from bdia_numerics.spaces.later import sympy

T = TypeVar("T")
Rows = Iterator[tuple[str, str]]


def attempted(name: str, make: Callable[[], T], refused: dict[str, str]) -> T | None:
    """Return a result; where it is refused, None, and the reason under its name in `refused`. Faults are raised again."""
    try:
        return make()
    except Exception as error:  # noqa: BLE001  `refusal` tells the two apart
        refused[name] = refusal(error)
        return None


def proved_on(solver: Solver, family: Any, *, own: bool = False) -> int | None:
    """Return the order that follows from a solver's program on a family of grids, from exact first states or from its own.

    None on random grids and on grids that are no `GridFamily`; where sigma = 0 and the steps are those of t, in which sigma/alpha may
    not be smooth; where the products of the step's matrices may grow without bound; and where the program does not decide.
    """
    if not isinstance(family, GridFamily) or not family.repeats:
        return None
    if family.variable == "t" and not family(1).sigma[0] > 0:
        return None
    found = attempted("order", lambda: order_on_pattern(solver, family.repeats), {})
    if found is None or not found.zero_stable:
        return None
    return found.order_with_start if own else found.order


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
    alternating
        Result of `order_on_pattern` for alternating steps h, 2h; None where parameters are symbols.
    inverse_polynomial, inverse_zero_stability
        Those of the derived inverse; None without one.
    refused
        Why there is none, by name of the attribute.
    """

    parameters: Mapping[str, str]
    order: SymbolicOrder | None
    alternating: PatternOrder | None
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
            if self.alternating is not None and self.alternating.order != order.order_rough:
                yield "order, steps h, 2h", str(self.alternating.order)
            yield "local error", "; ".join(f"{terms_text(terms)} in {name}" for name, terms in order.local.items())
            if set(order.local) == {order.output}:
                yield "local error one order higher if", equations(order.local_condition)
            yield (
                "error added per step",
                terms_text(order.principal, lambda name: f"h^{order.order_uniform + 1} {name}"),
            )
            yield "one order higher on equal steps if", equations(order.condition)
            if order.ddim_ratio is not None:
                yield (
                    "error over DDIM's",
                    quotient(order.ddim_ratio) + (" (a higher order)" if order.ddim_ratio == 0 else ""),
                )
            power = order.order_uniform + 1
            yield (
                "error constant",
                f"{quotient(order.error_constant)} (times {y}^({power}) h^{power}, in {s}; DDIM has 1/2)",
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
                where = "" if interval.valid in (True, sympy.true) else f" for {written(interval.valid)}"
                ends = (
                    f"0 < -h J < {exact(interval.length)}"
                    if label == "real"
                    else f"|h J| < {exact(interval.length)}, h J imaginary"
                )
                yield f"stable, {label}", ("none" if interval.length == 0 else ends) + where
        yield from ((f"no {name.replace('_', ' ')}", reason) for name, reason in self.refused.items())

    def as_dict(self) -> dict[str, Any]:
        """Return it as text, numbers, lists and dicts."""
        order, stable = self.order, (self.zero_stability, self.inverse_zero_stability)
        return {
            "parameters": dict(self.parameters),
            "order": None if order is None else _plain_order(order, self.alternating),
            "polynomial": _text(self.polynomial),
            "inverse_polynomial": _text(self.inverse_polynomial),
            "zero_stability": [None if x is None else {"stable": x.stable, "condition": str(x)} for x in stable],
            "real_interval": self.real_interval and exact(self.real_interval.length),
            "imaginary_interval": self.imaginary_interval and exact(self.imaginary_interval.length),
            "refused": dict(self.refused),
        }


def prove(solver: Solver, given: Mapping[str, str]) -> Proved:
    """Return what is proved of a solver; `given` says the values of its parameters, where they are not symbols."""
    refused: dict[str, str] = {}

    def attempt(name: str, make: Callable[[], T]) -> T | None:
        return attempted(name, make, refused)

    found = Proved(
        parameters=given,
        order=attempt("order", lambda: symbolic_order(solver)),
        alternating=None if symbols_of(solver) else attempt("alternating", lambda: order_on_pattern(solver, (1, 2))),
        polynomial=attempt("polynomial", lambda: characteristic_polynomial(solver)),
        zero_stability=attempt("zero_stability", lambda: zero_stability(solver)),
        inverse_polynomial=attempt("inverse", lambda: characteristic_polynomial(solver, direction="invert")),
        inverse_zero_stability=attempt("inverse_zero_stability", lambda: zero_stability(solver, "invert")),
        real_interval=attempt("real_interval", lambda: stability_interval(solver)),
        imaginary_interval=attempt("imaginary_interval", lambda: stability_interval(solver, "imaginary")),
        refused=refused,
    )
    if "order" in refused:
        refused.pop("alternating", None)
    if "inverse" in refused:
        refused.pop("inverse_zero_stability", None)
    return found


def _plain_order(order: SymbolicOrder, alternating: PatternOrder | None) -> dict[str, Any]:
    return {
        "rough": order.order_rough,
        "alternating": None if alternating is None else alternating.order,
        "smooth": order.order_smooth,
        "lower_bounds": list(order.lower_bounds),
        "consistent": order.consistent,
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


def orders(order: SymbolicOrder) -> str:
    """Return the orders on the kinds of grids."""
    if not order.consistent:
        unless = f", unless {equations(order.condition)}" if order.condition else ""
        return f"0, inconsistent: the error does not fall with the steps{unless}"
    smooth, rough = ("at least " * (name in order.lower_bounds) for name in ("smooth", "rough"))
    text = f"{smooth}{order.order_smooth} on smooth grids, {rough}{order.order_rough} where the step ratios are bounded"
    if order.order_uniform > order.order_smooth:
        text += f", {order.order_uniform} on equal steps in {order.variables[1]}"
    if order.bounded_products:
        text += " and the products of its matrices, too"
    if order.order_with_start < order.order_smooth:
        text += f"; {order.order_with_start} with its own start"
    if order.zero_stable is False:
        text += "; of consistency only, since it is not zero-stable"
    return text


def exact(x: Any) -> str:
    """Return an exact number; an algebraic one without a closed form as a decimal, with the polynomial that it is a root of."""
    if not x.has(sympy.CRootOf):
        return quotient(x)
    polynomial = sympy.minimal_polynomial(x, sympy.Symbol("x"))
    return f"{sympy.N(x, 6)} (a root of {polynomial})"


def terms_text(terms: Mapping[str, Any], name: Callable[[str], str] = str) -> str:
    """Return a sum of elementary differentials."""
    return " + ".join(f"{_factor(c)} {name(element)}" for element, c in terms.items())


def _factor(c: Any) -> str:
    text = quotient(c)
    return f"({text})" if " " in text or text.startswith("-") else text


def factors(c: Any) -> tuple[list[Any], Any]:
    """Return a coefficient as the factors of a numerator, without a minus sign before a difference, and a denominator."""
    top, bottom = sympy.fraction(sympy.factor(c))
    number, rest = top.as_coeff_Mul()
    some = [] if rest == 1 else list(sympy.Mul.make_args(rest))
    last = max((k for k, f in enumerate(some) if isinstance(f, sympy.Add)), default=None)
    if number < 0 and last is not None:
        number, some[last] = -number, sympy.expand(-some[last])
    if number != 1 or not some:
        some.insert(0, number)
    return some, bottom


def quotient(c: Any) -> str:
    """Return a coefficient as text, as a quotient."""
    some, bottom = factors(c)
    several = len(some) > 1 or bottom != 1
    text = "*".join(f"({f})" if isinstance(f, sympy.Add) and several else str(f) for f in some).replace("-1*", "-")
    below = str(bottom) if bottom.is_Symbol or bottom.is_Integer else f"({bottom})"
    return text if bottom == 1 else f"{text}/{below}"


def equations(found: tuple[Any, ...]) -> str:
    """Return what must vanish; "never" where nothing can be done, or no values solve all equations."""
    return " and ".join(f"{e.lhs} = 0" for e in found if e.lhs != 0) or "never"
