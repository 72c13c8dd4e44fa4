"""What a strict type checker sees of the installed package: `.ci/run` checks this file against the wheel.

A wrong assignment is marked as ignored: where a function had no type, the mark would be superfluous, which is an error as well.
"""

import numpy as np

from bdia_numerics import (
    BDIA,
    IIADDIM,
    Datasheet,
    RoundTrip,
    Solution,
    State,
    datasheet,
    encode,
    fit,
    grids,
    inverse_latex,
    invert,
    invertibility,
    problems,
    round_trip,
    schedules,
    solve,
    step_latex,
)

law = problems.GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [0.1, 0.2])
grid = grids.uniform(schedules.vp_linear(), 20, t_max=1.0, t_min=0.01)
model = law.model(schedules.vp_linear())

sampled: Solution = solve(BDIA(gamma=1), model, grid, np.ones((3, 1)))
state: State | None = sampled.state
assert state is not None
returned: Solution = invert(BDIA(gamma=1), model, grid, state)
latent: Solution = encode(BDIA(gamma=1), model, grid, np.ones((3, 1)))
trip: RoundTrip = round_trip(BDIA(gamma=1), model, grid, np.ones((3, 1)), end="data")
sheet: Datasheet = datasheet(BDIA(gamma=1))
formula: str = step_latex(BDIA())
back: str = inverse_latex(BDIA())
fitted: IIADDIM = fit(IIADDIM(), model, grid, np.ones((3, 1)))

wrong_solution: int = solve(BDIA(), model, grid, np.ones((3, 1)))  # type: ignore[assignment]
wrong_return: int = invert(BDIA(), model, grid, state)  # type: ignore[assignment]
wrong_latent: int = encode(BDIA(), model, grid, np.ones((3, 1)))  # type: ignore[assignment]
wrong_trip: int = round_trip(BDIA(), model, grid, np.ones((3, 1)))  # type: ignore[assignment]
wrong_sheet: int = datasheet(BDIA())  # type: ignore[assignment]
wrong_formula: int = step_latex(BDIA())  # type: ignore[assignment]
wrong_back: int = inverse_latex(BDIA())  # type: ignore[assignment]
wrong_grid: int = grids.uniform(schedules.vp_linear(), 20)  # type: ignore[assignment]
wrong_decision: int = invertibility(BDIA())  # type: ignore[assignment]
wrong_fit: int = fit(IIADDIM(), model, grid, np.ones((3, 1)))  # type: ignore[assignment]
