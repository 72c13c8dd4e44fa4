"""Steps in the angle atan(sigma/alpha) and symmetric multistep methods: orders in 40 digits both ways, starts, refusals."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy

from bdia_numerics import (
    ALF,
    BDIA3,
    BELM,
    OBELM,
    Composed,
    Heun,
    Leapfrog,
    ReversibleHeun,
    State,
    SymmetricMultistep,
    UniPC,
    analysis,
    encode,
    grids,
    invert,
    models,
    problems,
    round_trip,
    schedules,
    solve,
    spaces,
)
from bdia_numerics.program import identity, structure
from bdia_numerics.runs.solving import begin, starter_of

F = Fraction

SPACE = spaces.MPMath(40)
VP = schedules.vp_cosine(0)  # where t is the angle, in quarter turns


def model(z, t):
    """eps = dy/ds with y = z/alpha, s = sigma/alpha: nonlinear, not autonomous, with the solution y = 1/(1+s)."""
    alpha = VP.alpha(t)
    y, s = z / alpha, VP.sigma(t) / alpha
    return -y * y + (y * (1 + s) - 1) / 3


def exact(t):
    alpha = VP.alpha(t)
    return np.array([alpha / (1 + VP.sigma(t) / alpha)], dtype=object)


def errors(solver, pattern, n):
    """Signed errors: sampling from exact and from own first states, inverting from exact ones, encoding from own ones."""
    grid = grids.periodic(VP, n, pattern=pattern, variable="angle", t_max=F(3, 5), t_min=F(1, 5), space=SPACE)
    depth = structure(solver).depth
    with SPACE.working():
        t = [SPACE.number(x) for x in grid.t]
        start = [exact(t[n - k]) for k in range(1, depth + 1)] if depth else None
        registers, _ = begin(solver, model, grid, {k: exact(t[k]) for k in range(depth + 1)}, 0)
        shape = structure(solver)
        times = dict(zip(shape.registers, shape.lags, strict=True))
        runs = (
            solve(solver, model, grid, exact(t[n]), start=start),
            solve(solver, model, grid, exact(t[n])),
            invert(solver, model, grid, State(identity(solver, grid), grid.root, registers, times, prediction="eps")),
            encode(solver, model, grid, exact(t[0])),
        )
        ends = [(run.z - exact(t[0 if k < 2 else n]))[0] for k, run in enumerate(runs)]
    return ends, [run.nfe for run in runs]


def slow(*case):
    return pytest.param(*case, marks=pytest.mark.slow)


SMOOTH, ALTERNATING = (1,), (1, 2)
ORDERS = [
    (SymmetricMultistep(4, variable="angle"), SMOOTH, 4),
    slow(SymmetricMultistep(4, variable="angle"), ALTERNATING, 3),
    (Composed(ALF("angle")), SMOOTH, 4),
    (ALF("angle"), ALTERNATING, 2),
    slow(Composed(ALF("angle"), "suzuki"), SMOOTH, 4),
    slow(Composed(), SMOOTH, 4),
    slow(Composed(), ALTERNATING, 2),
    slow(SymmetricMultistep(4), SMOOTH, 4),
    slow(SymmetricMultistep(4), ALTERNATING, 3),
    slow(SymmetricMultistep(3, variable="angle"), SMOOTH, 2),
    slow(SymmetricMultistep(3, variable="angle"), ALTERNATING, 2),
    slow(SymmetricMultistep(5, variable="angle"), SMOOTH, 4),
    slow(SymmetricMultistep(5, variable="angle"), ALTERNATING, 4),
    slow(Leapfrog("angle"), SMOOTH, 2),
    slow(BELM(1, "angle"), ALTERNATING, 1),
    slow(OBELM("angle"), SMOOTH, 2),
    slow(ReversibleHeun("angle"), SMOOTH, 2),
    slow(ReversibleHeun("angle"), ALTERNATING, 2),
]


@pytest.mark.parametrize(("solver", "pattern", "order"), ORDERS, ids=str)
def test_orders_both_ways_from_exact_and_own_first_states(solver, pattern, order):
    depth, n = structure(solver).depth, {0: 24, 4: 384}.get(structure(solver).depth, 96)
    (coarse, _), (fine, nfe) = (errors(solver, pattern, k) for k in (n // 2, n))
    assert all(mpmath.mpf(10) ** -25 < abs(x) for x in fine)
    # What the first states excite oscillates, so that a slope of two errors may be off by some tenths.
    slopes = [float(mpmath.log(abs(a / b), 2)) for a, b in zip(coarse, fine, strict=True)]
    # Of five steps on alternating grids a part of order 5 still outweighs the rest towards noise: there 4 is a lower bound.
    most = math.inf if depth == 4 and pattern == ALTERNATING else order + 0.5
    assert all(order - 0.5 < slope < order + 0.5 for slope in slopes[:2]), slopes
    assert all(order - 0.5 < slope < most for slope in slopes[2:]), slopes
    if depth:  # evaluations of the start are counted, in both directions; from the data end on none of them is one of the steps
        own = depth * structure(starter_of(solver)).nfe
        assert nfe == [n - 1, n - depth + own, n - 1, n - 1 + own]


@pytest.mark.slow
@pytest.mark.parametrize(("k", "orders"), [(3, (2, 2)), (4, (4, 3)), (5, (4, 4))])
def test_orders_on_smooth_and_alternating_grids_are_those_of_the_program(k, orders):
    found = [analysis.order_on_pattern(SymmetricMultistep(k, variable="angle"), p) for p in (SMOOTH, ALTERNATING)]
    assert tuple(x.order for x in found) == tuple(x.order_with_start for x in found) == orders


@pytest.mark.parametrize("k", [3, 4, 5])
def test_symmetric_methods_are_stable_both_ways_where_their_roots_are_simple(k):
    for direction in ("sample", "invert"):
        assert analysis.zero_stability(SymmetricMultistep(k, variable="angle"), direction).stable
    assert not analysis.zero_stability(
        SymmetricMultistep(k, sympy.Integer(1), variable="angle")
    ).stable  # a double root -1
    zeta, c, c2 = sympy.symbols("zeta c c2")
    found = analysis.characteristic_polynomial(SymmetricMultistep(k, c, c2, "angle"), zeta=zeta)
    rho = (zeta - 1) * (zeta**2 + 2 * c * zeta + 1) * {3: 1, 4: zeta + 1, 5: zeta**2 + 2 * c2 * zeta + 1}[k]
    assert sympy.expand(found - rho) == 0


GRID = grids.angle(VP, 20, t_max=1, t_min=0)  # from alpha = 0 to sigma = 0
LAW = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.6, 0.4])


@pytest.mark.parametrize(
    "solver", [Leapfrog("angle"), ALF("angle"), SymmetricMultistep(variable="angle"), Composed(ALF("angle"))], ids=str
)
def test_an_angle_needs_no_level_of_noise_that_is_finite(solver):
    """Where alpha = 0, sigma/alpha is infinite; the angle is not, and v says all of the data."""
    assert np.allclose(np.diff(GRID.t), 1 / 20, rtol=1e-12, atol=0)
    v = models.as_prediction(LAW.model(VP), VP, "v")
    known = models.v(lambda z, t: v(z, t) if t < 1 else np.full_like(z, -0.5))  # less the mean of the data, 0.5
    x = LAW.sample(16, np.random.default_rng(0))
    z = encode(solver, known, GRID, x)
    assert np.abs(solve(solver, known, GRID, z.state).z - x).max() < 1e-12
    assert np.abs(z.z - LAW.flow(x, 0.0, 0.999, VP)).max() < 0.05


@pytest.mark.parametrize(
    "solver", [Leapfrog("angle"), ALF("angle"), BELM(1, "angle"), ReversibleHeun("angle")], ids=str
)
def test_an_angle_of_another_schedule_is_refused(solver):
    grid = grids.uniform(schedules.flow(), 8, t_max=0.8, t_min=0.1)
    with pytest.raises(
        ValueError, match=r"alpha\^2 \+ sigma\^2 = 0\.\d+, not 1: the angle needs a variance-preserving"
    ) as caught:
        solve(solver, LAW.model(schedules.flow()), grid, np.ones(3))
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="variance-preserving"):
        grids.angle(schedules.flow(), 8)


def test_a_start_of_sufficient_order_pays():
    """BDIA3(1, 1, 1) is of order 4: with Heun's start it is of order 3 end to end."""
    grid = grids.periodic(schedules.edm(), 40, pattern=(1,), variable="asinh", t_max=5, t_min=0.05)
    law = problems.GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [1.0, 0.8])
    z = np.linspace(-4, 4, 9)[:, None] * 5
    true = law.flow(z, 5.0, 0.05, schedules.edm())
    own, heun = (solve(BDIA3(), law.model(schedules.edm()), grid, z, start=s) for s in (None, Heun()))
    assert (own.nfe, heun.nfe) == (37 + 12, 37 + 6)
    ratio = np.sqrt(np.mean((heun.z - true) ** 2) / np.mean((own.z - true) ** 2))
    assert ratio > 5


def test_what_unipc_forgets_of_its_start_costs_no_order():
    """Its first prediction, by DDIM, is off by h^2, and its first correction by h^3 alone: so the solver is of order 3."""
    assert analysis.symbolic_order(UniPC()).order_with_start == 3


@pytest.mark.slow
def test_the_order_of_unipc_with_its_own_start_is_measured():
    seen = analysis.observed_order(UniPC(), LAW, start="own", states=8)
    assert seen.low - 0.2 < 3 < seen.high + 0.3 and not seen.low < 2 < seen.high, seen


def test_round_trips_return_in_the_angle():
    grid = grids.angle(schedules.vp_linear(), 40, t_max=1.0, t_min=1e-3)
    z = np.random.default_rng(0).standard_normal((16, 1))
    for solver in (SymmetricMultistep(variable="angle"), Composed(ALF("angle"))):
        trip = round_trip(solver, LAW.model(schedules.vp_linear()), grid, z, reference=LAW)
        assert trip.error < 1e-10 and trip.latent < 1e-4, trip
