"""What is proved beside what is measured, and why they differ where they do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics.analysis.expansion.order import SymbolicOrder
from bdia_numerics.analysis.measurement.observed import ObservedOrder
from bdia_numerics.analysis.measurement.over_ddim import ErrorRatio
from bdia_numerics.analysis.sheet.proved import Proved

SLOW = 0.85
"""A root of larger modulus is felt over more than 20 steps."""
NEAR = 0.01
"""How near to the proved ratio the measured one has to be, if its interval is narrower: errors of a hundredth of DDIM's."""
WIDE = 1.5
"""An interval of orders that is wider decides nothing."""
UNKNOWN = "no reason known: look for a defect of the solver, of the proof or of the measurement"


@dataclass(frozen=True)
class Compared:
    """One quantity, from two sources.

    Attributes
    ----------
    quantity, proved, measured : str
        What it is, and the values; `proved` is empty where nothing is, and says "docs: ..." for a docstring's claim.
    agrees : bool or None
        Whether they agree; None where there is nothing to hold it against.
    reason : str
        Why they differ, or why nothing was proved.
    """

    quantity: str
    proved: str
    measured: str
    agrees: bool | None
    reason: str = ""

    def __str__(self) -> str:
        verdict = "" if self.agrees is None else ("agrees" if self.agrees else "differs")
        parts = [f"measured {self.measured}", f"proved {self.proved}" if self.proved else "", verdict, self.reason]
        return "; ".join(part for part in parts if part)


def proved_order(derived: SymbolicOrder, observed: ObservedOrder, kind: str) -> tuple[str, bool]:
    """Return the proved order on grids of a kind, and whether an observed one agrees with it.

    On random grids the order lies between that for any bounded ratios and that for smooth ones.
    """
    exponent = derived.order_smooth if kind == "smooth" else derived.order_rough
    if kind != "random" or derived.order_rough == derived.order_smooth:
        return str(exponent), observed.agrees(exponent)
    inside = observed.high >= derived.order_rough and observed.low <= derived.order_smooth
    return f"{derived.order_rough} to {derived.order_smooth}", inside


def compared_order(proved: Proved, observed: ObservedOrder, kind: str) -> Compared:
    """Hold an observed order against the proved one; kind "own start" is a smooth grid with the solver's own start."""
    quantity = "order, own start" if kind == "own start" else f"order on {kind} grids"
    value = f"{observed.order:.2f} [{observed.low:.2f}, {observed.high:.2f}]"
    value += "" if observed.asymptotic else ", not asymptotic"
    derived = proved.order
    if derived is None:
        return Compared(quantity, "", value, None, proved.refused.get("order", ""))
    if kind == "own start":
        text, agrees = str(derived.order_with_start), observed.agrees(derived.order_with_start)
    else:
        text, agrees = proved_order(derived, observed, kind)
    if agrees and observed.high - observed.low > WIDE:
        return Compared(quantity, text, value, None, _why(proved, observed) or "the interval is too wide to decide")
    reason = "" if agrees and observed.asymptotic else _why(proved, observed)
    return Compared(quantity, text, value, agrees, reason or ("" if agrees else UNKNOWN))


def compared_ratio(proved: Proved, found: ErrorRatio) -> Compared:
    """Hold the measured ratio to DDIM's error against the proved one."""
    value = f"{found.limit:.4f} ± {found.half_width:.1g}"
    derived = proved.order
    if derived is None or derived.ddim_ratio is None:
        reason = (
            "the leading error is no multiple of DDIM's" if derived is not None else proved.refused.get("order", "")
        )
        return Compared("error over DDIM's", "", value, None, reason)
    if derived.ddim_ratio.free_symbols:
        return Compared("error over DDIM's", str(derived.ddim_ratio), value, None)
    exact = float(derived.ddim_ratio)
    agrees = abs(found.limit - exact) <= max(found.half_width, NEAR)
    reason = "" if agrees else (_slow(proved) or UNKNOWN)
    text = str(derived.ddim_ratio) + (" (a higher order)" if exact == 0 else "")
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
    if orders and observed.asymptotic:
        agrees = any(observed.agrees(order) for order in orders)
        found = f"{observed.order:.2f} on smooth grids"
        yield Compared(
            "order, docstring", f"docs: {documented['Order']}", found, agrees, "" if agrees else "the docstring"
        )
    if counts:
        agrees = nfe in counts
        why = "" if agrees else "the docstring"
        yield Compared("NFE, docstring", f"docs: {documented['NFE']}", f"{nfe} per step", agrees, why)


def _why(proved: Proved, observed: ObservedOrder) -> str:
    derived = proved.order
    if derived is not None and derived.zero_stable is False:
        return "not zero-stable: the proved order is of consistency alone"
    slow = _slow(proved)
    if slow or not observed.asymptotic:
        return slow or f"no asymptotic range up to N = {observed.levels[-1].steps}"
    return ""


def _slow(proved: Proved) -> str:
    """Name a root that decays so slowly that the leading term does not show."""
    import sympy

    if proved.polynomial is None or len(proved.polynomial.free_symbols) != 1:
        return ""
    (zeta,) = proved.polynomial.free_symbols
    moduli = np.abs(np.roots([float(c) for c in sympy.Poly(proved.polynomial, zeta).all_coeffs()]))
    slow = max((m for m in moduli if SLOW < m < 1 - 1e-9), default=0.0)
    return f"pre-asymptotic until N (1 - {slow:.4g}) is large, for a root of that modulus" if slow else ""
