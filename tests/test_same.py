"""assert_same: samplers that are a solver's program, and those that deviate from it, in which step and coefficient."""

import contextlib
from functools import partial
from itertools import combinations_with_replacement

import numpy as np
import pytest
from plain_samplers import (
    KUTTA,
    WRONG_STAGE,
    clipped,
    coupled,
    ddim,
    ddim_in_place,
    dpm_solver_2,
    edict,
    heun,
    implicit_midpoint,
    leap,
    leap_in_place,
    levels,
    moved,
    o_belm,
    reversible_heun,
    runge_kutta,
    second_order_multistep,
)

from bdia_numerics import (
    ALF,
    BDIA,
    CBDIA,
    DDIM,
    EDICT,
    IPNDM,
    OBELM,
    RK4,
    SOLVERS,
    DPMSolver,
    DPMSolverPP,
    Heun,
    ReversibleHeun,
    grids,
    schedules,
)
from bdia_numerics.testing import assert_same

EQUAL = [
    (partial(ddim), DDIM()),
    (partial(ddim_in_place), DDIM()),
    (partial(second_order_multistep), DPMSolverPP()),
    (partial(leap), BDIA()),
    (partial(leap, g=0.9), BDIA(0.9)),
    (partial(leap, rows=True), BDIA()),
    (partial(leap_in_place), BDIA()),
    (partial(o_belm), OBELM()),
    (partial(edict), EDICT()),
    (partial(coupled), CBDIA(1, 0)),
    (partial(heun), Heun()),
    (partial(dpm_solver_2), DPMSolver(2)),
    (partial(runge_kutta, tableau=KUTTA), RK4()),
    (partial(reversible_heun), ReversibleHeun()),
]


@pytest.mark.parametrize(("sample", "solver"), EQUAL)
def test_a_program_is_recognised(sample, solver):
    assert len(assert_same(partial(sample, up=False), solver)) == 9


def wrong_start(eps, grid, z, i, j):
    return 1.01 * moved(grid, z, i, j, eps(z, grid.t[i]))


def too_large(eps, grid, z, up):
    return 1.05 * ddim(eps, grid, z, up)


def late(eps, grid, z, up):
    """DDIM that drops the noise level of one step, the seventh."""
    for i in range(grid.n, 0, -1):
        e = eps(z, grid.t[i])
        z = moved(grid, z, i, i - 1, (1.001 if i == 6 else 1) * e)
    return z


def told_the_end(eps, grid, z, up):
    for i in range(grid.n, 0, -1):
        z = moved(grid, z, i, i - 1, eps(z, grid.t[i if i != 5 else 4]))
    return z


def in_float32(eps, grid, z, up):
    for i in range(grid.n, 0, -1):
        z = moved(grid, z, i, i - 1, eps(z, grid.t[i])).astype(np.float32).astype(float)
    return z


def reversible(eps, grid, z, up):
    """Reversible Heun, whose second state has a wrong factor in the seventh step: the network is asked before that step ends."""
    y = v = z / grid.alpha[grid.n]
    e = eps(z, grid.t[grid.n])
    for i in range(grid.n, 0, -1):
        h = levels(grid)[i - 1] - levels(grid)[i]
        y = y + h / 2 * e
        v = 2 * y - (1.01 if i == 6 else 1) * v
        e = eps(grid.alpha[i - 1] * v, grid.t[i - 1])
        y = y + h / 2 * e
    return grid.alpha[0] * y


def clipped_here(eps, grid, z, up):
    return clipped(eps, grid, z)


STATE = r"in the step from t_%d to t_%d the state of evaluation %d deviates: the coefficient of "
DEVIATIONS = [
    (
        partial(second_order_multistep, half=0.501),
        DPMSolverPP(),
        STATE % (11, 10, 3) + r"evaluation 2 is -0\.298\d+, and",
    ),
    (partial(leap, off=1), BDIA(), STATE % (11, 10, 3) + r"the state of evaluation \d is 0\.\d+ too small"),
    (partial(leap, g=0.999), BDIA(), STATE % (11, 10, 3) + r"evaluation 2 is -0\.363857, and the solver's -0\.364023"),
    (partial(leap), OBELM(), STATE % (11, 10, 3) + "evaluation 2 is"),
    (
        partial(leap, first=wrong_start),
        BDIA(),
        r"step from t_12 to t_11 the state of evaluation 2 deviates: it is 1\.01 times",
    ),
    (partial(edict, p=0.94), EDICT(), STATE % (12, 11, 3) + "evaluation 2 is"),
    (partial(heun, weight=1.0), Heun(), STATE % (12, 11, 3) + "evaluation 2 is"),
    (
        partial(runge_kutta, tableau=WRONG_STAGE),
        RK4(),
        STATE % (12, 11, 4) + r"evaluation 3 is 0, and the solver's -0\.\d+; the coefficient of evaluation 1",
    ),
    (reversible, ReversibleHeun(), STATE % (6, 5, 8)),
    (late, DDIM(), STATE % (6, 5, 8) + "evaluation 7 is"),
    (too_large, DDIM(), r"in the step from t_1 to t_0 the end deviates: it is 1\.05 times the solver's"),
    (in_float32, DDIM(), STATE % (12, 11, 2)),
    (clipped_here, DDIM(), "step from t_12 to t_11 the state of evaluation 2 is not linear"),
    (told_the_end, DDIM(), r"is told the time 0\.\d+ at evaluation 8, and by the solver 0\.\d+"),
    (partial(ddim), Heun(), r"is told the time 0\.\d+ at evaluation 3"),
    (partial(leap, asked=2), BDIA(), "it evaluates the model 23 times in 12 slots, and the solver 12 times"),
    (lambda *a, up: 1 / 0, DDIM(), "it raises ZeroDivisionError"),
]


NAMES = "factor alpha gamma weights start mixing half stage velocity step end float32 clipping time fewer twice raises"


@pytest.mark.parametrize(("sample", "solver", "says"), DEVIATIONS, ids=NAMES.split())
def test_the_first_deviation_is_named(sample, solver, says):
    with pytest.raises(AssertionError, match=says) as raised:
        assert_same(partial(sample, up=False), solver)
    assert "It deviates on all kinds of grids" in str(raised.value)


def test_times_that_differ_are_told_apart():
    def sample(eps, grid, z):
        for i in range(grid.n, 0, -1):
            e = eps(z, grid.t[i] * (1 - 3e-8))
            z = grid.alpha[i - 1] * (z - grid.sigma[i] * e) / grid.alpha[i] + grid.sigma[i - 1] * e
        return z

    with pytest.raises(AssertionError, match=r"the time 0.599999982 at evaluation 1, and by the solver 0.6 "):
        assert_same(sample, DDIM())


def test_a_program_on_some_grids_alone():
    equal = partial(second_order_multistep, up=False, equal=True)
    with pytest.raises(AssertionError, match=r"it is that program on these: uniform in log_snr$"):
        assert_same(equal, DPMSolverPP())
    even = grids.log_snr(schedules.vp_linear(), 7, t_max=0.6, t_min=0.1)
    assert assert_same(equal, DPMSolverPP(), grid=even) == ("the given",)
    with pytest.raises(AssertionError, match="it evaluates the model more than 84 times: pass a grid="):
        assert_same(partial(implicit_midpoint, up=False), DDIM(), grid=even)
    # Equal steps of t are not equal in log_snr, already in the second step.
    uneven = grids.uniform(schedules.flow(), 5, t_max=0.9, t_min=0.1)
    with pytest.raises(AssertionError, match="in the step from t_4 to t_3 the state of evaluation 3 deviates"):
        assert_same(equal, DPMSolverPP(), grid=uneven)


def test_a_deviation_in_the_first_states_is_placed_by_its_time():
    """IPNDM makes three states before its step, in one go."""
    with pytest.raises(AssertionError, match="in the step from t_11 to t_10 the state of evaluation 3 deviates"):
        assert_same(BDIA(), IPNDM(order=4))


def test_what_is_compared_with_what():
    with pytest.raises(TypeError, match="the subject comes before the solver"):
        assert_same(DDIM(), ddim)
    with pytest.raises(TypeError, match="is not a solver: it needs an attribute registers"):
        assert_same(ddim, ddim)
    with pytest.raises(AssertionError, match=r"BDIA.* is not OBELM"):
        assert_same(BDIA(), OBELM())
    with pytest.raises(ZeroDivisionError):
        assert_same(lambda *a: 1 / 0, DDIM(), grid=3)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_schedulers_on_their_own_times():
    diffusers = pytest.importorskip("diffusers", reason="needs the extra torch")
    assert assert_same(diffusers.DDIMScheduler(clip_sample=False), DDIM()) == ("its own",)
    assert assert_same(diffusers.DPMSolverMultistepScheduler(), DPMSolverPP(), grid=20)
    lowered = diffusers.DPMSolverMultistepScheduler(final_sigmas_type="sigma_min")
    with pytest.raises(AssertionError, match="in the step from t_1 to t_0 the end deviates"):
        assert_same(lowered, DPMSolverPP())
    with pytest.raises(AssertionError, match=r"is not linear .* look for clipping"):
        assert_same(diffusers.DDIMScheduler(), DDIM())


@pytest.mark.slow
def test_every_solver_is_itself_and_no_other_one():
    """Three pairs are one program each with the parameters that they have by default."""
    made = {name: make() for name, make in SOLVERS.items()}
    same = set()
    for one, other in combinations_with_replacement(made, 2):
        with contextlib.suppress(AssertionError):
            assert_same(made[one], made[other])
            same.add((one, other))
    assert same == {(name, name) for name in made} | {("DDIM", "IIADDIM"), ("Heun", "IIAEDM"), ("Leapfrog", "BELM")}


def test_grids_that_the_solver_does_not_take_are_left_out():
    angle = ALF(variable="angle")
    assert len(assert_same(angle, angle)) == 8  # all but the uniform flow, on which no angle is
    with pytest.raises(ValueError, match="the angle needs a variance-preserving schedule"):
        assert_same(angle, angle, grid=grids.uniform(schedules.flow(), 4, t_max=0.9, t_min=0.1))
