"""Numerical reference flows: both integrators against a 30-digit solution and exact flows, and which of them runs."""

import copy
import sys
from concurrent.futures import ThreadPoolExecutor

import mpmath
import numpy as np
import pytest
from problem_checks import EPS

from bdia_numerics import schedules
from bdia_numerics.problems import (
    Empirical,
    Gaussian,
    GaussianMixture,
    GuidedGaussians,
    Product,
    certified_flow,
    reference as taylor,
    reference_flow as reference,
)

EDM, FLOW = schedules.edm(), schedules.flow()
BOTH = ["taylor", "DOP853"]
PLANE = GaussianMixture(
    [0.5, 0.25, 0.25], [[-1.0, 0.0], [1.0, 0.5], [0.0, 1.0]], [[0.25, 0.5], [0.0625, 0.25], [0.25, 0.125]]
)
TURN = np.array([[0.6, -0.8], [0.8, 0.6]])
Z = np.array([[1.5, -2.0], [-0.25, 3.0], [2.0, 2.5], [0.0, 0.5], [-7.0, 1.0]])


@pytest.fixture(params=BOTH)
def method(request):
    if request.param == "taylor":
        pytest.importorskip("heyoka", reason="needs the extra reference")
    return request.param


def full(*diagonals):
    matrices = [TURN @ np.diag(d) @ TURN.T for d in diagonals]
    return [(m + m.T) / 2 for m in matrices]


OTHERS = {
    "matrices": GaussianMixture(
        [0.5, 0.2, 0.3, 0.0],
        [[0.0, 0.0], [1.0, 2.0], [-1.0, 0.5], [2.0, 2.0]],
        full((0.2, 0.6), (0.5, 0.1), (0.3, 0.4), (9.0, 9.0)),
    ),
    "atoms": Empirical([[0.0, 1.0], [1.0, 3.0], [-1.0, 5.0]]),
    "guided": GuidedGaussians(Gaussian([1.0, 0.0], [0.2, 0.4]), Gaussian([0.0, 1.0], [0.5, 0.1]), 3),
    "product": Product([PLANE, GaussianMixture([0.5, 0.5], [[0.0], [1.0]], [0.1, 0.2])]),
}


@pytest.fixture(scope="module")
def digits():
    """The flow of one state of PLANE from s = 2 to 1/2, to 30 digits, from its density written out here."""
    with mpmath.workdps(30):
        parts = [
            (mpmath.mpf(w), [mpmath.mpf(x) for x in m], [mpmath.mpf(c) for c in cov])
            for w, m, cov in zip(PLANE.weights, PLANE.means, PLANE.covs, strict=True)
        ]

        def eps(u, y):
            s, total, pull = 2 - u, 0, [0, 0]
            for w, m, cov in parts:
                v = [c + s * s for c in cov]
                p = w * mpmath.exp(-sum((a - b) ** 2 / (2 * c) for a, b, c in zip(y, m, v, strict=True)))
                p /= mpmath.sqrt(v[0] * v[1])
                total += p
                pull = [q + p * (a - b) / c for q, a, b, c in zip(pull, y, m, v, strict=True)]
            return [-s * q / total for q in pull]

        solution = mpmath.odefun(eps, 0, [mpmath.mpf(x) for x in (1.5, -2.0)])
        return [mpmath.mpf(x) for x in solution(mpmath.mpf(3) / 2)]


def test_thirty_digits(method, digits):
    """Both within their own estimates; Taylor steps within rounding."""
    run = reference(PLANE.model(EDM), EDM, np.array([[1.5, -2.0]]), 2.0, 0.5, method=method)
    miss = max(abs(float(mpmath.mpf(float(a)) - b)) for a, b in zip(run.z[0], digits, strict=True))
    assert miss <= run.error < 1e-7
    if method == "taylor":
        assert run.error < 1e-12
        assert miss < 20 * EPS * 2  # some twenty steps, each rounding states of size 2 once


@pytest.mark.parametrize("schedule", [EDM, FLOW], ids=["edm", "flow"])
def test_exact_flows(method, schedule):
    """Closed forms, a line, a centre and a guided pair, known exactly by other means."""
    times = (0.875, 0.125)
    laws = {
        "one": Gaussian([1.0, 0.0], 0.25),
        "line": GaussianMixture([0.25, 0.75], [[0.0, 0.0], [0.6, 0.8]], full((0.25, 0.5), (0.0625, 0.5))),
        "centre": GaussianMixture([0.25, 0.75], [[0.5, -0.5]] * 2, [0.0625, 1.0]),
        "guided": GuidedGaussians(Gaussian([1, 0], full((0.3, 2))[0]), Gaussian([0, 1], full((0.3, 2))[0]), 7.5),
        "product": Product([GaussianMixture([0.5, 0.5], [[0.0], [1.0]], [0.1, 0.2]), Gaussian([1.0], 2.0)], TURN),
    }
    for name, law in laws.items():
        run = reference(law.model(schedule), schedule, Z, *times, method=method)
        miss = abs(law.flow(Z, *times, schedule) - run.z).max()
        # The exact flow's own rounding: some tens of eps of states up to 20.
        assert miss <= run.error + 100 * EPS * abs(run.z).max(), name


@pytest.mark.parametrize("name", OTHERS)
def test_both_agree_where_no_flow_is_exact(name):
    """Kills: a component of weight 0 that takes the largest exponent, atoms without noise, guidance dropped."""
    pytest.importorskip("heyoka", reason="needs the extra reference")
    law = OTHERS[name]
    z = np.random.default_rng(1).normal(size=(6, law.dimension)) * 2
    runs = [reference(law.model(FLOW), FLOW, z, 0.875, 0.125, method=m) for m in BOTH]
    assert abs(runs[0].z - runs[1].z).max() <= runs[1].error
    assert runs[0].error < 1e-11
    assert law.flow_certified(z, 0.875, 0.125, FLOW).certificate.detail == runs[0].method


def test_far_out(method):
    """Where every density underflows, the nearest component pulls alone, and nothing is NaN."""
    law = GaussianMixture([0.25, 0.75], [[0.0, 0.0], [0.6, 0.8]], full((0.25, 0.5), (0.0625, 0.5)))
    z = np.array([[300.0, 400.0], [-3e4, 5.0], [1e6, -1e6]])
    run = reference(law.model(EDM), EDM, z, 2.0, 0.25, method=method)
    assert abs(law.flow(z, 2.0, 0.25, EDM) - run.z).max() <= run.error + 100 * EPS * 1e6


def test_there_and_back(method):
    there = reference(PLANE.model(FLOW), FLOW, Z, 0.875, 0.25, method=method)
    back = reference(PLANE.model(FLOW), FLOW, there.z, 0.25, 0.875, method=method)
    # What the way there errs grows by at most the derivative of the way back, 10 here.
    assert abs(back.z - Z).max() <= back.error + 10 * there.error


def test_a_model_that_writes_every_output_into_one_array():
    kept = np.empty((4, 1))
    z = np.linspace(-1, 1, 4)[:, None]
    run = schedules.vp_cosine(), z, 0.9, 0.1
    assert np.array_equal(
        reference(lambda z, t: np.sin(2 * z, out=kept), *run).z, reference(lambda z, t: np.sin(2 * z), *run).z
    )


def test_states_at_the_origin_are_moved():
    """They have no size that an absolute tolerance could be a part of."""
    z, vp = np.zeros((2, 1)), schedules.vp_linear()
    moved = reference(lambda z, t: vp.sigma(t) * z + 0 * t, vp, z, 0.1, 0.9, method="DOP853").z
    away = reference(lambda z, t: vp.sigma(t) + 0 * z, vp, z, 0.1, 0.9, method="DOP853").z
    assert np.array_equal(moved, z) and np.all(np.abs(away) > 0.1)


def test_a_model_that_is_no_smooth_function_ends_the_run(monkeypatch):
    rng, vp = np.random.default_rng(0), schedules.vp_linear()
    with pytest.raises(
        ArithmeticError, match=r"two outputs for the same states at t = 0\.1: let it draw no random numbers"
    ):
        reference(lambda z, t: z + 1e-3 * rng.standard_normal(z.shape), vp, np.ones((2, 1)), 0.1, 0.9)
    monkeypatch.setattr(taylor, "_MAX_STEPS", 1000)
    single = lambda z, t: np.float32(np.tanh(3 * z)).astype(float)  # noqa: E731
    with pytest.raises(
        ArithmeticError, match=r"more than 1,000 evaluations at rtol=1.0e-09: compute the model in float64"
    ):
        reference(single, vp, np.ones((2, 1)), 0.1, 0.9)
    assert reference(single, vp, np.ones((2, 1)), 0.1, 0.9, rtol=1e-5).nfe < 1000


def test_batches_of_any_size():
    """The last lanes, optimised code for many states, and shapes (*batch, D), in the dtype of the states."""
    pytest.importorskip("heyoka", reason="needs the extra reference")
    model, z = PLANE.model(EDM), np.random.default_rng(2).normal(size=(2003, 2))
    many = reference(model, EDM, z, 2.0, 0.5)
    few = reference(model, EDM, z[-7:].reshape(7, 1, 2), 2.0, 0.5)
    assert few.z.shape == (7, 1, 2)
    assert abs(many.z[-7:] - few.z[:, 0]).max() <= few.error
    half = reference(model, EDM, z[:3].astype(np.float32), 2.0, 0.5)
    assert half.z.dtype == np.float32
    assert reference(model, EDM, z[:0], 2.0, 0.5).z.shape == (0, 2)


def test_which_one_runs(monkeypatch):
    """Taylor steps for laws of few components and their own schedule, if heyoka is there; it is always said which."""
    pytest.importorskip("heyoka", reason="needs the extra reference")

    def ran(model, **options):
        return reference(model, EDM, Z, 2.0, 1.0, rtol=1e-6, **options).method.split()[0]

    model = PLANE.model(EDM)
    assert ran(model) == "Taylor"
    assert ran(model, method="DOP853") == "DOP853"
    assert ran(model.__call__) == "DOP853"
    assert ran(PLANE.model(schedules.edm())) == "Taylor"  # equal to EDM, if another object
    assert ran(Empirical(np.random.default_rng(3).normal(size=(400, 2))).model(EDM)) == "DOP853"
    monkeypatch.setitem(sys.modules, "heyoka", None)
    assert ran(model) == "DOP853"
    with pytest.raises(ImportError, match=r"pip install 'bdia_numerics\[reference\]'"):
        ran(model, method="taylor")


@pytest.mark.parametrize(
    ("error", "words", "model", "options"),
    [
        (ValueError, "method='RK4'", PLANE.model(EDM), {"method": "RK4"}),
        (TypeError, "method='DOP853'", lambda z, t: z, {"method": "taylor"}),
        (TypeError, "method='DOP853'", PLANE.model(FLOW), {"method": "taylor"}),
        (ValueError, "rtol=1e-15", PLANE.model(EDM), {"method": "DOP853", "rtol": 1e-15}),
        (ValueError, "rtol=0.01", PLANE.model(EDM), {"method": "DOP853", "rtol": 1e-2}),
        (ValueError, "bandwidth holds a variance 0", OTHERS["atoms"].model(EDM), {"t_to": 0.0}),
    ],
)
def test_bad_input_is_one_clear_line(error, words, model, options):
    t_to = options.pop("t_to", 1.0)
    with pytest.raises(error, match=words) as caught:
        reference(model, EDM, Z, 2.0, t_to, **options)
    assert "\n" not in str(caught.value)


def test_the_enclosure_holds_the_reference(method):
    """The certificate of a law without exact flow names the enclosure, which is there, and holds what it should."""
    pytest.importorskip("flint", reason="needs the extra balls")
    assert "problems.certified_flow" in PLANE.flow_certificate.detail
    assert "certified_flow" not in OTHERS["guided"].flow_certificate.detail
    z = Z[:1]
    found = certified_flow(PLANE, EDM, z, 1.0, 0.5, prec=64)
    run = PLANE.flow_certified(z, 1.0, 0.5, EDM, method=method)
    middle = np.array([[float(x.mid()) for x in row] for row in found.z])
    assert abs(middle - run.z).max() <= found.certificate.error + run.certificate.error


def test_a_run_copies_nothing_and_frequent_runs_are_optimised(monkeypatch):
    """Each call copied what is compiled, for longer than it ran; and code was optimised by states alone, whatever they cost."""
    library = pytest.importorskip("heyoka", reason="needs the extra reference")
    copies, levels = [], []
    copied, made = copy.deepcopy, library.taylor_adaptive_batch
    monkeypatch.setattr(taylor.copy, "deepcopy", lambda x: copies.append(x) or copied(x))
    monkeypatch.setattr(
        library, "taylor_adaptive_batch", lambda *a, **k: levels.append(k["opt_level"]) or made(*a, **k)
    )
    law = GaussianMixture(PLANE.weights, PLANE.means, PLANE.covs)
    model, finest = law.model(EDM), taylor.FINEST
    monkeypatch.setattr(taylor, "_WORTH", 5 * law._terms())
    runs = [reference(model, EDM, Z[:1], 2.0, 0.5, method="taylor") for _ in range(6)]
    # Of each of both tolerances one integrator and one copy of it; the fifth run is the first of optimised code.
    assert levels == [0, 0, 1, 1]
    assert len(copies) == 4
    many = reference(model, EDM, np.repeat(Z, 3, axis=0), 2.0, 0.5, method="taylor")
    for run in runs:
        # Both keep the tolerance of a step over some twenty steps.
        np.testing.assert_allclose(run.z, many.z[:1], rtol=0, atol=100 * finest)


def test_threads_share_what_is_compiled():
    pytest.importorskip("heyoka", reason="needs the extra reference")
    model = GaussianMixture(PLANE.weights, PLANE.means, PLANE.covs).model(EDM)
    expected = reference(model, EDM, Z, 2.0, 0.5, method="taylor").z
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: reference(model, EDM, Z[k % 5 :], 2.0, 0.5, method="taylor").z, range(40)))
    for k, z in enumerate(found):
        np.testing.assert_allclose(z, expected[k % 5 :], rtol=0, atol=100 * taylor.FINEST * np.abs(Z).max())
