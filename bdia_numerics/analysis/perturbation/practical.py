"""How much a solver's inverse enlarges errors on the grids in use; a verdict on smooth grids or equal steps does not speak of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from bdia_numerics import grids, schedules
from bdia_numerics.analysis.perturbation.amplification import amplification, gaussian_jacobian
from bdia_numerics.formulas import number
from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver
from bdia_numerics.spaces.values import ordered

PRACTICAL: Mapping[str, Callable[[int], Grid]] = {
    "leading": lambda n: grids.leading(schedules.ddpm_linear(), n),
    "trailing": lambda n: grids.trailing(schedules.ddpm_linear(), n),
    "Stable Diffusion": lambda n: grids.leading(schedules.stable_diffusion(), n, steps_offset=1, final_alpha=None),
    "flow": lambda n: grids.uniform(schedules.flow(), n, t_max=Fraction(99, 100)),
}
"""By name, from a number of slots: "leading" and "trailing" of diffusers' DDPM schedule down to clean data; that of Stable Diffusion;
a flow grid, uniform in t from 0.99 (at 1, alpha is 0) to the schedule's own end."""

LIMIT = 4.0
"""An inverse that enlarges errors more than this many times is named: its latents are further from the ODE's than its samples by about
that factor."""


@ordered
def inverse_growth(solver: Solver, grid: Grid, prediction: str = "eps") -> float | None:
    """Return how many times the derived inverse enlarges a perturbation of the data end; None where it does not exist.

    The spectral norm of the product of its companion matrices, for the noise prediction of data of variance 1, where the ODE itself
    enlarges a perturbation of a variance-preserving state by 1.

    >>> from bdia_numerics import BDIA, OBELM
    >>> [round(inverse_growth(solver, PRACTICAL["leading"](10)), 1) for solver in (BDIA(1), OBELM())]
    [1.0, 7808.3]
    """
    try:
        return amplification(solver, grid, "invert", J=gaussian_jacobian(1.0), prediction=prediction).total
    except ValueError:  # NotInvertibleError, and ends of the grid that the solver does not take
        return None


def inverse_growths(solver: Solver, steps: int) -> dict[str, float]:
    """Return `inverse_growth` on each of `PRACTICAL` with this many slots, where it exists."""
    found = {name: inverse_growth(solver, make(steps)) for name, make in PRACTICAL.items()}
    return {name: value for name, value in found.items() if value is not None}


def listed(growths: Mapping[str, float]) -> str:
    """Return growths in a line.

    >>> listed({"leading": 7808.3, "trailing": 8.84})
    'leading 7800 times, trailing 8.8'
    """
    return ", ".join(f"{name} {number(value)}{' times' * (k == 0)}" for k, (name, value) in enumerate(growths.items()))
