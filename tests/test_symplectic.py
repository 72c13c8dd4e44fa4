"""Symplectic defect, step determinants and asymmetry, against exact Jacobians, closed forms and whole-step differences."""

from fractions import Fraction

import numpy as np
import pytest

from bdia_numerics import (
    ALF,
    BDIA,
    BDIA2,
    BDIA3,
    BELM,
    CBDIA,
    DDIM,
    EDICT,
    OBELM,
    RK4,
    SOLVERS,
    Composed,
    Heun,
    Leapfrog,
    McCallumFoster,
    Midpoint,
    NotInvertibleError,
    ReversibleHeun,
    Rex,
    StormerVerlet,
    SymmetricMultistep,
    analysis,
    grids,
    models,
    problems,
    schedules,
    solve,
)
from bdia_numerics.program import invertibility, structure

VP = schedules.vp_linear()
GRID = grids.uniform(VP, 5, t_min=0.01)
LAW = problems.GaussianMixture([0.4, 0.6], [[-1.0, 0.0, 0.3], [1.5, 0.2, -1.0]], [0.3, 0.4])
EXACT = LAW.model(VP)
Z = np.random.default_rng(0).standard_normal((4, 3))
W = np.array([[0.0, 0.1, 0.2], [-0.1, 0.0, 0.05], [-0.2, -0.05, 0.0]])
# Fourth-order differences err by about eps^(4/5); the coefficients of these grids are below 1e2.
DIFFERENCES = 1e2 * float(np.finfo(float).eps) ** 0.8
TWO_REGISTERS = [BDIA(1), BDIA(Fraction(1, 2)), EDICT(), CBDIA(), OBELM(), ALF(), ReversibleHeun(), McCallumFoster()]


def curled(z, t):
    return EXACT(z, t) + z @ W.T


@pytest.mark.parametrize("solver", TWO_REGISTERS, ids=lambda s: type(s).__name__)
def test_exact_scores_make_conformally_symplectic_steps(solver):
    found = analysis.symplectic_defect(solver, EXACT, GRID, Z)
    assert found.defects.shape == (len(found.slots), 4)
    assert found.defects.max() < DIFFERENCES * max(1, np.abs(found.factors).max())
    assert found.worst < DIFFERENCES


def exact_jvp(z, t, v):
    """Derivative of the mixture's eps along v, from the Hessian of its log density."""
    alpha, sigma = VP.alpha(t), VP.sigma(t)
    variances = alpha**2 * np.array(LAW.covs) + sigma**2
    pulls = (alpha * np.array(LAW.means) - z[..., None, :]) / variances[:, None]  # gradient of each log density
    exponents = np.log(LAW.weights) - 1.5 * np.log(variances) - np.sum(pulls**2, -1) * variances / 2
    r = np.exp(exponents - exponents.max(-1, keepdims=True))
    r /= r.sum(-1, keepdims=True)
    along = np.einsum("...kd,...d->...k", pulls, v)
    mean = np.einsum("...k,...kd->...d", r, pulls)
    spread = (
        np.einsum("...k,...k,...kd->...d", r, along, pulls) - np.einsum("...k,...k->...", r, along)[..., None] * mean
    )
    return -sigma * (spread - np.sum(r / variances, -1)[..., None] * v)


@pytest.mark.parametrize("solver", TWO_REGISTERS, ids=lambda s: type(s).__name__)
def test_with_exact_derivatives_the_defect_of_a_mixture_is_at_rounding(solver):
    found = analysis.symplectic_defect(solver, EXACT, GRID, Z, jvp=exact_jvp)
    # A dozen products and sums of 6 x 6 matrices; the size of M^T Omega M is at most that of M squared.
    size = max(1, np.abs(found.factors).max()) ** 2
    assert found.defects.max() < 100 * np.finfo(float).eps * size
    # Relative to its own size a defect is no larger than what the computed Jacobians lack of symmetry where the run asks: EDICT's
    # states leave the data, to 24 standard deviations, and rounding grows there with the square.
    asked = []
    solve(solver, lambda z, t: asked.append((np.array(z), t)) or EXACT(z, t), GRID, Z)
    jacobians = [analysis.model_jacobian(EXACT, z, t, jvp=exact_jvp) for z, t in asked]
    lack = max(np.abs(J - np.swapaxes(J, -1, -2)).max() for J in jacobians)
    assert found.worst < 2 * lack < 2000 * np.finfo(float).eps
    assert analysis.model_jacobian(EXACT, Z, 0.5) == pytest.approx(
        analysis.model_jacobian(EXACT, Z, 0.5, jvp=exact_jvp), abs=DIFFERENCES
    )


@pytest.mark.parametrize("gamma", [1, Fraction(1, 2)])
def test_a_planted_curl_is_measured_by_the_closed_form(gamma):
    found = analysis.symplectic_defect(BDIA(gamma), curled, GRID, Z)
    a = GRID.alpha[:-1] / GRID.alpha[1:]
    b = GRID.sigma[:-1] - GRID.sigma[1:] * a  # slot i is entry i - 1
    for defect, i in zip(found.defects, found.slots, strict=True):
        closed = abs(b[i - 1] + float(gamma) * b[i] / a[i]) * np.linalg.norm(2 * W)
        assert defect == pytest.approx(np.full(4, closed), rel=1e-9)
    assert found.worst > 0.05


def test_another_prediction_gives_the_same_defect():
    clean = models.x0(lambda z, t: (z - VP.sigma(t) * curled(z, t)) / VP.alpha(t))
    one, other = (analysis.symplectic_defect(BDIA(1), m, GRID, Z) for m in (curled, clean))
    assert other.defects == pytest.approx(one.defects, rel=1e-8)


@pytest.mark.parametrize("solver", TWO_REGISTERS[:5], ids=lambda s: type(s).__name__)
def test_the_determinant_is_that_of_the_whole_step(solver):
    """Against the Jacobian of one step, differenced as a black box, with a model that is not a gradient."""
    grid = grids.uniform(VP, 1 + structure(solver).depth, t_max=0.6, t_min=0.3)

    def step(both, _):
        names = solver.registers
        start = dict(zip(names, np.split(both, 2, axis=-1), strict=True))
        end = solve(solver, curled, grid, start[names[0]], start=start).state.registers
        return np.concatenate([end[name] for name in names], axis=-1)

    both = np.concatenate([Z, Z + 0.1], axis=-1)
    (number,) = analysis.step_determinants(solver, grid)
    jacobian = analysis.model_jacobian(step, both, 0.0)
    assert np.linalg.det(jacobian) == pytest.approx(np.full(4, float(number) ** 3), rel=1e-8)


EXACT_SOLVERS = {name: make() for name, make in SOLVERS.items() if invertibility(make()).invertible}
EXACT_SOLVERS |= {
    str(solver): solver
    for solver in (
        *(SymmetricMultistep(k, variable=variable) for k in (3, 4, 5) for variable in ("sigma_bar", "angle")),
        *(make(variable="angle") for make in (ALF, BELM, Leapfrog, OBELM, ReversibleHeun)),
        *(Composed(base, scheme) for base in (ALF(), ALF("angle")) for scheme in ("yoshida", "suzuki")),
        EDICT(shifted=True),
        EDICT(exchange=True),
        *(make(base=base) for make in (McCallumFoster, Rex) for base in (Midpoint(), RK4())),
        BDIA2(Fraction(1, 3), Fraction(1, 2)),
        BDIA3(1, Fraction(1, 2), Fraction(1, 3), "log_snr", allow_any=True),
        StormerVerlet(),
    )
}


@pytest.mark.parametrize("name", EXACT_SOLVERS)
def test_no_model_changes_the_volume(name):
    """The determinant of a step is the product of its own coefficients, whatever slope the model has at each index."""
    solver, rng = EXACT_SOLVERS[name], np.random.default_rng(0)
    grid = grids.uniform(VP, 3 + structure(solver).depth, t_max=0.9, t_min=0.1)
    own = np.array([float(c) for c in analysis.step_determinants(solver, grid)])
    for J in rng.normal(size=(3, grid.n + 1)):
        for direction, wanted in (("sample", own), ("invert", 1 / own[::-1])):
            matrices = analysis.amplification(solver, grid, direction, J=J).matrices
            # A determinant is known to some roundings of the product of the lengths of its rows (Hadamard).
            slack = 1e2 * np.finfo(float).eps * np.linalg.norm(matrices, axis=-1).prod(axis=-1)
            assert np.all(slack < abs(wanted) / 100)
            assert np.all(abs(np.linalg.det(matrices) - wanted) <= slack)


def test_determinants_are_exact():
    assert analysis.step_determinants(BDIA(Fraction(1, 3)), GRID) == (Fraction(-1, 3),) * 4
    assert analysis.step_determinants(BDIA2(1, Fraction(1, 3)), GRID) == (Fraction(1, 3),) * 3
    with pytest.raises(NotInvertibleError):
        analysis.step_determinants(Heun(), GRID)


def test_jacobians_against_the_exact_one():
    law = problems.Gaussian([0.0, 1.0], np.array([[1.0, 0.3], [0.3, 0.5]]))
    z, t = np.random.default_rng(1).standard_normal((3, 2)), 0.4
    exact = VP.sigma(t) * np.linalg.inv(VP.alpha(t) ** 2 * np.array(law.cov) + VP.sigma(t) ** 2 * np.eye(2))
    found = analysis.model_jacobian(law.model(VP), z, t)
    assert found == pytest.approx(np.broadcast_to(exact, (3, 2, 2)), abs=DIFFERENCES)
    A = np.arange(16.0).reshape(4, 4)
    images = np.random.default_rng(2).standard_normal((2, 2, 2))

    def linear(z, t):
        return (z.reshape(-1, 4) @ A.T).reshape(z.shape)

    by_jvp = analysis.model_jacobian(linear, images, 0.5, axes=2, jvp=lambda z, t, v: linear(v, t))
    assert np.array_equal(by_jvp, np.broadcast_to(A, (2, 4, 4)))
    assert analysis.model_jacobian(linear, images, 0.5, axes=2) == pytest.approx(by_jvp, abs=1e-10)


def test_probes_estimate_the_norm_of_the_curl():
    whole = analysis.asymmetry(lambda z, t: z @ W.T, Z, 0.5)
    assert whole.norm == pytest.approx(np.linalg.norm(W), rel=1e-9)
    assert whole.relative == pytest.approx(1, rel=1e-9)
    probed = analysis.asymmetry(lambda z, t: z @ W.T, Z, 0.5, probes=400, rng=np.random.default_rng(3))
    assert analysis.asymmetry(lambda z, t: z @ W.T, Z, 0.5, probes=2).standard_error > 0  # as few as have a deviation
    # A square of a Gaussian has the relative standard deviation sqrt(2); 1600 pairs of directions.
    assert 0 < probed.standard_error < 0.05 * whole.norm
    assert abs(probed.norm - whole.norm) < 4 * probed.standard_error
    assert analysis.asymmetry(EXACT, Z, 0.5).relative < DIFFERENCES


def test_the_standard_error_of_probes_is_their_spread():
    rng = np.random.default_rng(4)
    found = [
        analysis.asymmetry(lambda z, t: z @ W.T, Z, 0.5, jvp=lambda z, t, v: v @ W.T, probes=40, rng=rng)
        for _ in range(150)
    ]
    assert np.std([x.norm for x in found]) == pytest.approx(np.mean([x.standard_error for x in found]), rel=0.15)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: analysis.symplectic_defect(DDIM(), EXACT, GRID, Z), ValueError, "registers"),
        (lambda: analysis.symplectic_defect(BDIA2(), EXACT, GRID, Z), ValueError, "3 registers"),
        (lambda: analysis.symplectic_defect(BDIA(0), EXACT, GRID, Z), NotInvertibleError, "own coefficient 0"),
        (lambda: analysis.symplectic_defect(BDIA(1), EXACT, GRID, np.full((1, 3), np.nan)), ValueError, "finite"),
        (lambda: analysis.model_jacobian(EXACT, Z, 0.5, axes=0), ValueError, "axes=0"),
        (lambda: analysis.model_jacobian(EXACT, Z, 0.5, length=0.0), ValueError, "length=0.0"),
        (lambda: analysis.model_jacobian(EXACT, Z, 0.5, length=np.inf), ValueError, "length=inf"),
        (lambda: analysis.model_jacobian(EXACT, Z.astype(complex), 0.5), TypeError, "complex"),
        (lambda: analysis.asymmetry(EXACT, Z, 0.5, probes=1), ValueError, "probes=1"),
    ],
)
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_base_with_stages_is_not_conformally_symplectic():
    """The increment of the midpoint rule nests evaluations: its Jacobian is a product, and no longer symmetric."""
    found = analysis.symplectic_defect(McCallumFoster(base=Midpoint()), EXACT, GRID, Z)
    assert found.defects.max() > 1e3 * DIFFERENCES
