"""What is proved beside what is measured, and why they differ where they do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics.analysis.expansion.order import SymbolicOrder
from bdia_numerics.analysis.measurement.errors import ErrorRatio
from bdia_numerics.analysis.measurement.ladder import WIDEST
from bdia_numerics.analysis.measurement.observed import ObservedOrder
from bdia_numerics.analysis.sheet.proved import Proved
from bdia_numerics.formulas import within
from bdia_numerics.spaces.later import sympy

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
        low, bound = alternating, False
    if kind != "random" and bound:
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
        return Compared("error over DDIM's", str(derived.ddim_ratio), value, None)
    exact = float(derived.ddim_ratio)
    text = str(derived.ddim_ratio) + (" (a higher order)" if exact == 0 else "")
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
