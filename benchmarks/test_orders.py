"""An order study of twelve solvers on smooth and alternating grids, and what one gamma costs."""

from functools import partial

from timing import timed

from bdia_numerics import grids, names, schedules
from bdia_numerics.analysis import GridFamily, best_gamma, observed_order
from bdia_numerics.names import distribution as named
from bdia_numerics.studies.convergence import SOLVERS

MOST = 20.0
MOST_GAMMA = 1.0


def test_order_study_of_twelve_solvers(benchmark):
    law = named("mixture")

    def study():
        return [
            observed_order(names.solver(text), law, GridFamily(kind), max_steps=256)
            for text in SOLVERS
            for kind in ("smooth", "alternating")
        ]

    found, seconds = benchmark.pedantic(timed, (study,), rounds=1)
    benchmark.extra_info.update(processor_seconds=seconds, at_most=MOST)
    assert len(SOLVERS) == 12
    assert all(order.up_to == 256 for order in found)
    assert seconds <= MOST


def test_best_gamma_on_20_slots(benchmark):
    grid, law = grids.quadratic(schedules.vp_linear(), 20, t_max=1, t_min=0.01), named("mixture")
    _, seconds = benchmark.pedantic(timed, (partial(best_gamma, grid, law),), rounds=3, warmup_rounds=1)
    benchmark.extra_info.update(processor_seconds=seconds)
    assert seconds <= MOST_GAMMA
