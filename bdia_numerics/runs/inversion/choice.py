"""Which inversion runs: what `encode` takes by default, and inversions named in text."""

from __future__ import annotations

from collections.abc import Mapping

from bdia_numerics.program import Solver
from bdia_numerics.runs.inversion.ddim import DDIMInversion, Method
from bdia_numerics.runs.inversion.reversed import Reversed
from bdia_numerics.solvers import DDIM
from bdia_numerics.texts import shown

INVERSIONS: Mapping[str, Method] = {
    "(10)": DDIMInversion(),
    "(23)": DDIMInversion(at_target=False),
    "reversed": Reversed(),
}
"""By name: DDIM inversion of eq. (10), the same told its own time, eq. (23), and the solver on the reversed grid."""


def default_for(solver: Solver) -> Method:
    """Return the inversion of a solver without an exact inverse: itself on the reversed grid; (10) for DDIM, as diffusers does."""
    return INVERSIONS["(10)" if isinstance(solver, DDIM) else "reversed"]


def named(text: str) -> Method | None:
    """Return the inversion that a word names; None for "default".

    Raises
    ------
    ValueError
        For a word that names none.

    >>> named("23")
    DDIMInversion(at_target=False, substeps=1)
    """
    word = text.strip()
    if word == "default":
        return None
    found = INVERSIONS.get(word) or INVERSIONS.get(f"({word})")
    if found is None:
        raise ValueError(f"inversion={shown(text)} is none of default, {', '.join(INVERSIONS)}")
    return found


def split(text: str) -> tuple[str, Method | None]:
    """Return a solver's text and the inversion that is named behind it, None if none is.

    >>> split("DDIM by (23)")
    ('DDIM', DDIMInversion(at_target=False, substeps=1))
    """
    solver, by, word = text.partition(" by ")
    return solver.strip(), named(word) if by else None
