"""An order study of twelve solvers on smooth and alternating grids, and what one gamma costs."""

from timing import processor

from bdia_numerics import grids, names, schedules
from bdia_numerics.analysis import GridFamily, best_gamma, observed_order
from bdia_numerics.studies.convergence import SOLVERS


def orders():
    """Return the seconds of the orders of twelve solvers on two families of grids, each to 256 slots."""
    law = names.distribution("mixture")
    assert len(SOLVERS) == 12

    def study():
        for text in SOLVERS:
            for kind in ("smooth", "alternating"):
                assert observed_order(names.solver(text), law, GridFamily(kind), max_steps=256).up_to == 256

    return {"orders of twelve solvers": processor(study)}


def one_gamma():
    grid, law = grids.quadratic(schedules.vp_linear(), 20, t_max=1, t_min=0.01), names.distribution("mixture")
    return {"best gamma": min(processor(lambda: best_gamma(law, grid)) for _ in range(3))}


def test_order_study_of_twelve_solvers(figures):
    figures(orders)


def test_best_gamma_on_20_slots(figures):
    figures(one_gamma)
