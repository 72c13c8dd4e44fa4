"""What follows from a solver's program, in words, with the reasons where nothing does; and what is proved beside what is measured."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from bdia_numerics.analysis.expansion.order import SymbolicOrder, settled, symbolic_order
from bdia_numerics.analysis.expansion.pattern import PatternOrder, order_on_pattern
from bdia_numerics.analysis.expansion.step import symbols_of
from bdia_numerics.analysis.measurement.errors import ErrorRatio
from bdia_numerics.analysis.measurement.ladder import WIDEST
from bdia_numerics.analysis.measurement.observed import GridFamily, ObservedOrder
from bdia_numerics.analysis.stability.characteristic import (
    GrowthParameter,
    StabilityInterval,
    characteristic_polynomial,
    growth_parameters,
    stability_interval,
)
from bdia_numerics.analysis.stability.zero_stability import ZeroStability, zero_stability
from bdia_numerics.formulas import expression, within
from bdia_numerics.program import Solver, refusal
from bdia_numerics.spaces.later import sympy
from bdia_numerics.spaces.showing import Shown

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
    not be smooth; where the products of the step's matrices may grow without bound; and where the program does not decide, as where 1 is
    a multiple root and the order is a lower bound.
    """
    if not isinstance(family, GridFamily) or not family.repeats:
        return None
    if family.variable == "t" and not family(1).sigma[0] > 0:
        return None
    found = attempted("order", lambda: order_on_pattern(solver, family.repeats), {})
    if found is None or not found.zero_stable:
        return None
    if settled(solver, "uniform", "one").modes.multiplicity > 1 and "smooth" in symbolic_order(solver).lower_bounds:
        return None
    return found.order_with_start if own else found.order


@dataclass(frozen=True, repr=False)
class Proved(Shown):
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
    growth
        Result of `growth_parameters`: what the roots on the unit circle make of errors over a run.
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
    growth: tuple[GrowthParameter, ...] | None
    refused: Mapping[str, str]

    def rows(self) -> Rows:
        """Yield what it says, as (label, text)."""
        if self.order is not None:
            found = dict(order_rows(self.order))
            yield "order", found.pop("order")
            if self.alternating is not None and self.alternating.order != self.order.order_rough:
                yield "order, steps h, 2h", str(self.alternating.order)
            yield from found.items()
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
                where = "" if interval.valid in (True, sympy.true) else f" for {expression(interval.valid)}"
                ends = (
                    f"0 < -h J < {exact(interval.length)}"
                    if label == "real"
                    else f"|h J| < {exact(interval.length)}, h J imaginary"
                )
                yield f"stable, {label}", ("none" if interval.length == 0 else ends) + where
        if self.growth:
            yield "growth parameters", "; ".join(map(str, self.growth))
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
            "growth": [{"roots": str(g.roots), "rate": str(g.rate), "exponent": g.exponent} for g in self.growth or ()],
            "refused": dict(self.refused),
        }


def order_rows(order: SymbolicOrder) -> Rows:
    """Yield what the expansion of a step says, as (label, text)."""
    y, s = order.variables
    power = order.order_uniform + 1
    yield "order", orders(order)
    yield "local error", "; ".join(f"{terms_text(terms)} in {name}" for name, terms in order.local.items())
    if set(order.local) == {order.output}:
        yield "local error one order higher if", equations(order.local_condition)
    yield "error added per step", terms_text(order.principal, lambda name: f"h^{power} {name}")
    yield "one order higher on equal steps if", equations(order.condition)
    if order.ddim_ratio is not None:
        yield "error over DDIM's", quotient(order.ddim_ratio) + (" (a higher order)" if order.ddim_ratio == 0 else "")
    yield "error constant", f"{quotient(order.error_constant)} (times {y}^({power}) h^{power}, in {s}; DDIM has 1/2)"


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
        growth=attempt("growth", lambda: growth_parameters(solver)),
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
    return f"{expression(x)} (a root of {expression(sympy.minimal_polynomial(x, sympy.Symbol('x')))})"


def terms_text(terms: Mapping[str, Any], name: Callable[[str], str] = str) -> str:
    """Return a sum of elementary differentials."""
    text = " ".join(_term(c, name(element)) for element, c in terms.items())
    return text[2:] if text.startswith("+") else f"-{text[2:]}"


def _term(c: Any, name: str) -> str:
    text = quotient(c)
    sign, text = ("-", text[1:]) if text.startswith("-") else ("+", text)
    return f"{sign} {f'({text})' if ' + ' in text or ' - ' in text else text} {name}"


def quotient(c: Any) -> str:
    """Return a coefficient as text, factored, as a quotient."""
    return expression(sympy.factor(c))


def equations(found: tuple[Any, ...]) -> str:
    """Return what must vanish; "never" where nothing can be done, or no values solve all equations."""
    return " and ".join(f"{expression(e.lhs)} = 0" for e in found if e.lhs != 0) or "never"


SLOW = 0.85
"""A root of larger modulus is felt over more than 20 steps."""
NEAR = 0.01
"""How near to the proved ratio the measured one has to be, if its interval is narrower: errors of a hundredth of DDIM's."""
UNKNOWN = "no reason known: look for a defect of the solver, of the proof or of the measurement"


@dataclass(frozen=True)
class Compared:
    """One quantity, from two sources.

    Attributes
    ----------
    quantity, proved, measured : str
        What it is, and the values; `proved` is empty where nothing is, and says "docs: ..." for a docstring's claim.
    agrees : bool or None
        Whether they agree; None where that is undecided: by the measurement, or since there is nothing to hold it against.
    reason : str
        Why they differ, why it is undecided, or why nothing was proved.
    """

    quantity: str
    proved: str
    measured: str
    agrees: bool | None
    reason: str = ""

    def __str__(self) -> str:
        claim = self.proved if self.proved.startswith("docs: ") else f"proved {self.proved}" if self.proved else ""
        parts = [f"measured {self.measured}", claim, self.verdict, self.reason]
        return "; ".join(part for part in parts if part)

    @property
    def verdict(self) -> str:
        """The word for it: "agrees", "differs" or "undecided"."""
        return "undecided" if self.agrees is None else "agrees" if self.agrees else "differs"


def summary(rows: Iterable[Compared]) -> str:
    """Return how many rows differ, and how many are undecided."""
    verdicts = [row.verdict for row in rows]
    if not verdicts:
        return "nothing to compare"
    differ, unknown = verdicts.count("differs"), verdicts.count("undecided")
    text = f"{differ or 'no'} difference{'' if differ == 1 else 's'}"
    return f"{text}, {unknown} of {len(verdicts)} rows undecided" if unknown else text


def proved_order(
    derived: SymbolicOrder, alternating: int | None, observed: ObservedOrder, kind: str
) -> tuple[str, bool | None]:
    """Return the proved order on grids of a kind, and whether an observed one agrees with it; None if it is undecided.

    On alternating grids it is that with their ratios in the step, `alternating`, and else the worst case of bounded ratios. On random grids
    it lies between that and the order on smooth ones.
    """
    low = derived.order_smooth if kind == "smooth" else derived.order_rough
    bound = ("smooth" if kind == "smooth" else "rough") in derived.lower_bounds
    if kind == "alternating" and alternating is not None:
        low, bound = alternating, "smooth" in derived.lower_bounds
    if bound and (kind != "random" or "smooth" in derived.lower_bounds):
        return f"at least {low}", observed.high >= low if observed.decided else None
    if kind != "random" or low == derived.order_smooth:
        return str(low), observed.agrees(low)
    inside = observed.high >= low and observed.low <= derived.order_smooth
    return f"{low} to {derived.order_smooth}", inside if observed.decided else None


def compared_order(proved: Proved, observed: ObservedOrder, kind: str) -> Compared:
    """Hold an observed order against the proved one; kind "own start" is a smooth grid with the solver's own start."""
    quantity = "order, own start" if kind == "own start" else f"order on {kind} grids"
    derived = proved.order
    if derived is None:
        return Compared(quantity, "", observed.value, None, proved.refused.get("order", ""))
    if kind == "own start":
        text, agrees = str(derived.order_with_start), observed.agrees(derived.order_with_start)
    else:
        alternating = None if proved.alternating is None else proved.alternating.order
        text, agrees = proved_order(derived, alternating, observed, kind)
    reason = "" if agrees else _why(proved, observed) or (UNKNOWN if agrees is False else observed.reason)
    return Compared(quantity, text, observed.value, agrees, reason)


def compared_ratio(proved: Proved, found: ErrorRatio) -> Compared:
    """Hold the measured ratio to DDIM's error against the proved one."""
    value = f"{within(found.limit, found.half_width)} ± {found.half_width:.1g}"
    derived = proved.order
    if derived is None or derived.ddim_ratio is None:
        reason = (
            "the leading error is not a multiple of DDIM's" if derived is not None else proved.refused.get("order", "")
        )
        return Compared("error over DDIM's", "", value, None, reason)
    if derived.ddim_ratio.free_symbols:
        return Compared("error over DDIM's", quotient(derived.ddim_ratio), value, None)
    exact = float(derived.ddim_ratio)
    text = quotient(derived.ddim_ratio) + (" (a higher order)" if exact == 0 else "")
    if found.half_width > WIDEST / 2:
        return Compared("error over DDIM's", text, value, None, _slow(proved) or "the band is too wide to decide")
    agrees = abs(found.limit - exact) <= max(found.half_width, NEAR)
    reason = "" if agrees else (_slow(proved) or UNKNOWN)
    return Compared("error over DDIM's", text, value, agrees, reason)


def claimed(documented: str) -> set[int]:
    """Return the numbers from 1 to 9 that stand alone in a docstring's field that begins with one."""
    return (
        {int(n) for n in re.findall(r"(?<![\w/^.=*+(-])[1-9](?![\w/^.*)(])", documented)}
        if documented[:1].isdigit()
        else set()
    )


def compared_claims(documented: Any, observed: ObservedOrder, nfe: int) -> Iterator[Compared]:
    """Hold what a docstring says of order and evaluations against what was measured: a number that it names must be near."""
    orders, counts = claimed(documented.get("Order", "")), claimed(documented.get("NFE", ""))
    if orders:
        agrees = any(observed.agrees(order) for order in orders) if observed.decided else None
        why = "" if agrees else observed.reason if agrees is None else "the docstring"
        found = f"{observed.value} on smooth grids"
        yield Compared("order, docstring", f"docs: {documented['Order']}", found, agrees, why)
    if counts:
        agrees = nfe in counts
        why = "" if agrees else "the docstring"
        yield Compared("NFE, docstring", f"docs: {documented['NFE']}", f"{nfe} per step", agrees, why)


def _why(proved: Proved, observed: ObservedOrder) -> str:
    derived = proved.order
    if derived is not None and derived.zero_stable is False:
        return "not zero-stable: the proved order is of consistency alone"
    return _slow(proved)


def _slow(proved: Proved) -> str:
    """Name a root that decays so slowly that the leading term does not show."""
    if proved.polynomial is None or len(proved.polynomial.free_symbols) != 1:
        return ""
    (zeta,) = proved.polynomial.free_symbols
    moduli = np.abs(np.roots([float(c) for c in sympy.Poly(proved.polynomial, zeta).all_coeffs()]))
    slow = max((m for m in moduli if SLOW < m < 1 - 1e-9), default=0.0)
    return f"pre-asymptotic until N (1 - {slow:.4g}) is large, for a root of that modulus" if slow else ""
