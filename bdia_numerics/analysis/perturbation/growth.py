"""How much solvers amplify perturbations on the grids in use, towards the noise and towards the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from bdia_numerics import grids, schedules
from bdia_numerics.analysis.perturbation.amplification import amplification, gaussian_jacobian
from bdia_numerics.formulas import number
from bdia_numerics.grids import Grid
from bdia_numerics.models import PREDICTIONS
from bdia_numerics.program import (
    Solver,
    remembered,
)
from bdia_numerics.spaces import ordered
from bdia_numerics.texts import one_of

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

NARROW, BREAKS = 1e-4, 1e4
"""Variance of the narrow mode, and the growth to data on it above which most edits broke: docs/findings/encoding.md."""


@ordered
def inverse_growth(solver: Solver, grid: Grid, prediction: str = "eps") -> float | None:
    """Return how many times the derived inverse enlarges a perturbation of the data end; None where it does not exist.

    The spectral norm of the product of its companion matrices, for the noise prediction of data of variance 1, where the ODE itself
    enlarges a perturbation of a variance-preserving state by 1.

    >>> from bdia_numerics import BDIA, OBELM
    >>> [round(inverse_growth(solver, PRACTICAL["leading"](10)), 1) for solver in (BDIA(1), OBELM())]
    [1.0, 7808.3]
    """
    return _growth(solver, grid, "invert", 1.0, prediction)


@ordered
def data_growth(solver: Solver, grid: Grid, prediction: str = "eps") -> float | None:
    """Return how many times the steps enlarge a perturbation of the noise end, for a Gaussian mode of variance `NARROW`.

    None where the solver has no step. The ODE itself damps such a perturbation.

    >>> from bdia_numerics import ALF, EDICT
    >>> [data_growth(solver, PRACTICAL["leading"](20)) > BREAKS for solver in (ALF(variable="angle"), EDICT())]
    [False, True]
    """
    return _growth(solver, grid, "sample", NARROW, prediction)


def _growth(solver: Solver, grid: Grid, direction: str, variance: float, prediction: str) -> float | None:
    one_of("prediction", prediction, PREDICTIONS)
    try:
        return amplification(solver, grid, direction, J=gaussian_jacobian(variance), prediction=prediction).total
    except ValueError:  # NotInvertibleError, and ends of the grid that the solver does not take
        return None


@ordered
def inverse_growths(solver: Solver, steps: int) -> dict[str, float]:
    """Return `inverse_growth` on each of `PRACTICAL` with this many slots, where it exists.

    Parameters
    ----------
    solver
        Any solver.
    steps
        Slots of each grid.

    Returns
    -------
    dict of str to float
        By the name of the grid.

    Raises
    ------
    TypeError
        For what is not a solver, and for a number of slots that is not an int.

    Examples
    --------
    >>> from bdia_numerics import OBELM, analysis
    >>> {name: round(x, 1) for name, x in analysis.inverse_growths(OBELM(), 10).items()}
    {'leading': 7808.3, 'trailing': 8.8, 'Stable Diffusion': 1976.3, 'flow': 1155.6}
    """
    return dict(_growths_in_use(solver, steps))


@remembered
def _growths_in_use(solver: Solver, steps: int) -> dict[str, float]:
    # The others count 1000 steps of training, and one of them begins at the second.
    makes = {"flow": PRACTICAL["flow"]} if steps >= 1000 else PRACTICAL
    found = {name: inverse_growth(solver, make(steps)) for name, make in makes.items()}
    return {name: value for name, value in found.items() if value is not None}


def listed(growths: Mapping[str, float]) -> str:
    """Return growths in a line.

    >>> listed({"leading": 7808.3, "trailing": 8.84})
    'leading 7800 times, trailing 8.8'
    """
    return ", ".join(f"{name} {number(value)}{' times' * (k == 0)}" for k, (name, value) in enumerate(growths.items()))
