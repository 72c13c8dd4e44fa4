"""Leading coefficients of global errors: against runs, and against the symbolic principal terms on a linear problem."""

from fractions import Fraction
from types import SimpleNamespace

import mpmath as mp
import numpy as np
import pytest

from bdia_numerics import (
    ALF,
    BDIA,
    BDIA2,
    CBDIA,
    DDIM,
    EDICT,
    OBELM,
    DPMSolverPP,
    Heun,
    ReversibleHeun,
    grids,
    problems,
    schedules,
    solve,
)
from bdia_numerics.analysis import leading_error, symbolic_order
from bdia_numerics.analysis.measurement.leading_error import Window

HALF = Fraction(1, 2)
PAIR = problems.GaussianMixture([0.25, 0.75], [[-1.0], [1.0]], [0.25, 0.0625])
VP, EDM = schedules.vp_linear(), schedules.edm()


def test_the_mode_that_alternates_is_told_from_one_that_falls_off_slowly():
    """Eigenvalues 1, -1 and -9/10: the left eigenvector of -1 is (-1/2, 1/2, -1) up to a factor."""
    with mp.workdps(50):
        matrix = np.array([[0, 1, 0], [1, 0, mp.mpf(1) / 5], [0, 0, mp.mpf(-9) / 10]], dtype=object)
        left, right = Window._swing(SimpleNamespace(epsilon=mp.mpf(10) ** -12, output=1), matrix)
        assert max(abs(right - [-1, 1, 0])) < 1e-30 and max(abs(left - np.array([-1, 1, -2]) / mp.mpf(2))) < 1e-30


def ratios(solver, schedule, law, z, times, found, counts):
    """error of a run over its leading term, at each number of slots."""
    exact = law.flow(np.array([z]), *times, schedule)
    values = []
    for n in counts:
        grid = grids.uniform(schedule, n, t_max=times[0], t_min=times[1])
        error = exact - solve(solver, law.model(schedule), grid, np.array([z])).z
        values.append(float(error[0]) / found.at(n))
    return np.array(values)


@pytest.mark.parametrize(
    ("solver", "order", "rate"),
    [
        (DDIM(), 1, 2),
        pytest.param(BDIA(HALF), 1, 2, marks=pytest.mark.slow),
        (BDIA(1), 2, 4),
        pytest.param(OBELM(), 2, 4, marks=pytest.mark.slow),
        pytest.param(Heun(), 2, 2, marks=pytest.mark.slow),
        pytest.param(DPMSolverPP(), 2, 2, marks=pytest.mark.slow),
        pytest.param(ReversibleHeun(), 2, 4, marks=pytest.mark.slow),
        pytest.param(ALF(), 2, 4, marks=pytest.mark.slow),
        pytest.param(EDICT(HALF), 1, 2, marks=pytest.mark.slow),
        pytest.param(CBDIA(Fraction(7, 10), Fraction(3, 10)), 2, 2, marks=pytest.mark.slow),
    ],
    ids=lambda x: str(x)[:24],
)
def test_runs_tend_to_the_leading_term(solver, order, rate):
    """error N^p / coefficient - 1 falls like 1/N (1/N^2 for methods that are symmetric to leading order), for even and odd N.

    Kills: a wrong order, a lost sign of (-1)^N, a start or a displacement left out.
    """
    found = leading_error(solver, PAIR, VP, 0.75, t_max=0.875, t_min=0.125, rtol=1e-4)
    assert found.order == order
    first, second = (ratios(solver, VP, PAIR, 0.75, (0.875, 0.125), found, c) for c in ((100, 101), (200, 201)))
    misses = abs(first - 1), abs(second - 1)
    assert np.all(misses[0] < 0.25), first
    # The next term of the expansion is another tenth of the difference, and a quadrature to 1e-4 leaves no trace.
    np.testing.assert_allclose(misses[0] / misses[1], rate, rtol=0.12)


@pytest.mark.parametrize(
    "solver",
    [
        DDIM(),
        pytest.param(BDIA(HALF), marks=pytest.mark.slow),
        BDIA(1),
        pytest.param(Heun(variable="sigma_bar"), marks=pytest.mark.slow),
        pytest.param(CBDIA(Fraction(7, 10), Fraction(3, 10)), marks=pytest.mark.slow),
        pytest.param(EDICT(HALF), marks=pytest.mark.slow),
    ],
    ids=lambda x: str(x)[:24],
)
def test_symbolic_principal_terms_give_the_same(solver):
    """On a Gaussian with alpha = 1 and equal steps: the integral of the symbolic principal term, by sympy and scipy.

    Two derivations with nothing in common but the solver's text: Taylor series on symbols, and one tiny step in mpmath."""
    import sympy
    from scipy.integrate import quad

    s = sympy.Symbol("s", positive=True)
    c, y_T, s_T, s_0 = Fraction(1, 4), 2.0, 3.0, 0.25
    path = y_T * sympy.sqrt((c + s**2) / (c + s_T**2))
    J = s / (c + s**2)
    found = symbolic_order(solver)

    def value(terms):
        total = 0
        for name, coefficient in terms.items():
            *factors, last = name.split()
            term = sympy.diff(path, s, last.count("'"))
            for factor in factors:
                assert factor.startswith("J")
                term *= sympy.diff(J, s, factor.count("'"))
            total += sympy.nsimplify(coefficient) * term
        return sympy.lambdify(s, total * sympy.sqrt((c + s_0**2) / (c + s**2)) + 0 * s)

    law = problems.Gaussian([0], c)
    numeric = leading_error(solver, law, EDM, y_T, t_max=s_T, t_min=s_0, rtol=1e-6)
    assert numeric.order == found.order
    step = (s_0 - s_T) ** found.order
    integral = step * quad(value(found.principal), s_T, s_0, epsrel=1e-10)[0]
    assert numeric.coefficient - numeric.start - numeric.displacement == pytest.approx(
        integral, rel=1e-5
    )  # a slot is 1e-7 of the grid
    if found.displacement:
        # There it is the register minus the trajectory, here a part of exact - numerical.
        assert numeric.displacement == pytest.approx(-step * float(value(found.displacement)(s_0)), rel=1e-4)
    # The density adds up to the integral: an error budget over the grid.
    assert np.all(np.diff(numeric.u) > 0)
    assert np.trapezoid(numeric.density, numeric.u) == pytest.approx(integral, rel=0.2)


def test_spacings():
    """Uniform in log-SNR by name, and by the same map as a function."""
    import mpmath

    def where(u):
        low, high = (VP.log_snr(mpmath.mpf(t)) for t in (0.125, 1))
        return VP.time("log_snr", low + u * (high - low))

    law = problems.Gaussian([0], 1)
    by_name = leading_error(DDIM(), law, VP, 1, t_max=1, t_min=0.125, variable="log_snr")
    by_map = leading_error(DDIM(), law, VP, 1, t_max=1, t_min=0.125, variable=where)
    assert by_name.coefficient == pytest.approx(by_map.coefficient, rel=1e-12, abs=0)
    grid = grids.log_snr(VP, 400, t_max=1, t_min=0.125)
    z = np.array([1.0])
    error = law.flow(z, 1, 0.125, VP) - solve(DDIM(), law.model(VP), grid, z).z
    assert float(error[0]) == pytest.approx(by_name.at(400), rel=0.02)


@pytest.mark.parametrize(
    ("words", "solver", "law", "options"),
    [
        ("D = 1", DDIM(), problems.Gaussian([0, 0], 1), {}),
        ("variable='rho' is unknown", DDIM(), problems.Gaussian([0], 1), {"variable": "rho"}),
        ("2 roots at 1", CBDIA(1, 0), problems.Gaussian([0], 1), {}),
        ("outside the unit circle", BDIA(2, allow_any=True), problems.Gaussian([0], 1), {}),
    ],
)
def test_bad_input_is_one_clear_line(words, solver, law, options):
    with pytest.raises(ValueError, match=words) as caught:
        leading_error(solver, law, VP, 1, t_max=0.875, t_min=0.125, **options)
    assert "\n" not in str(caught.value)


def test_a_double_root_of_minus_1_is_refused():
    """Data so wide that their slopes do not take the roots apart."""
    with pytest.raises(ValueError, match="only a simple -1 is treated beside 1"):
        leading_error(BDIA2(2, 1, allow_any=True), problems.Gaussian([0], 10**8), EDM, 1, t_max=0.875, t_min=0.125)


def test_several_states_are_refused():
    with pytest.raises(ValueError, match=r"z has shape \(2, 1\): pass one state"):
        leading_error(DDIM(), problems.Gaussian([0], 1), VP, np.zeros((2, 1)), t_max=0.875, t_min=0.125)
