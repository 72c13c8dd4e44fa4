"""Scores and references of distributions against what they come down to, in the same run: one function a row."""

import time

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from timing import in_turn, ratio

from bdia_numerics import schedules
from bdia_numerics.problems import Empirical, GaussianMixture, reference_flow

FLOW, EDM = schedules.flow(), schedules.edm()
LAW = GaussianMixture([0.25, 0.5, 0.25], [[-0.6, -0.8], [0.3, 0.4], [0.6, 0.8]], [0.0625, 0.0625, 0.0625])
K, D = 2000, 784


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def over(ours, theirs, rounds):
    """Return the median over rounds of our processor time over theirs."""
    return ratio(in_turn({"ours": ours, "theirs": theirs}, rounds), "ours", "theirs")


def data_set():
    """`Empirical` of 60,000 points, constructor and first call, against one copy of the points and the two products three times."""
    points, z = normal(60_000, D), normal(1, D)

    def plain():
        copy = points.copy()
        return [(z @ copy.T) @ copy for _ in range(3)]

    return over(lambda: Empirical(points).model(FLOW)(z, 0.5), plain, 3)


def diagonal(states, again):
    """Diagonal covariances against isotropic ones, at a time that comes again or at ever new times."""
    weights, means, z = np.full(K, 1 / K), normal(K, D), normal(states, D, seed=1)
    rng, times = np.random.default_rng(2), iter(np.linspace(0.3, 0.7, 10_000))
    models = [GaussianMixture(weights, means, rng.uniform(0.5, 1.5, s)).model(FLOW) for s in ((K, D), K)]
    ours, theirs = (lambda m=m: m(z, 0.5 if again else next(times)) for m in models)
    return over(ours, theirs, 21 if states < 512 else 7)


def short(count, states):
    """Scores of isotropic components computed in float32, against the two products in float32."""
    means, z = normal(count, D), normal(states, D, seed=1).astype(np.float32)
    narrow, variances = means.astype(np.float32), np.random.default_rng(2).uniform(0.5, 1.5, count)
    model = GaussianMixture(np.full(count, 1 / count), means, variances).model(FLOW, compute_dtype="float32")
    return over(lambda: model(z, 0.5), lambda: (z @ narrow.T) @ narrow, 7)


def by_hand(z, span, rtol):
    """The mixture of `reference` by scipy's DOP853 at both tolerances, its right-hand side written for it."""
    weights, means, variances = LAW.weights, LAW.means, LAW.covs

    def slope(s, y):
        y, v = y.reshape(-1, 2), variances + s * s
        differences = means - y[:, None]
        exponents = np.log(weights / v) - (differences * differences).sum(axis=2) / (2 * v)
        r = np.exp(exponents - exponents.max(axis=1, keepdims=True))
        r /= r.sum(axis=1, keepdims=True)
        return (-s * ((r / v)[:, :, None] * differences).sum(axis=1)).ravel()

    options = {"method": "DOP853"}
    return [solve_ivp(slope, span, z.ravel(), rtol=tol, atol=tol, **options).y[:, -1] for tol in (100 * rtol, rtol)]


def dop853(states):
    """The reference by DOP853 of a mixture of three in the plane, against the same written by hand."""
    z, rtol = 10 * normal(states, 2), 1e-11
    model = LAW.model(EDM)
    ours = reference_flow(model, EDM, z, 10.0, 0.0625, method="DOP853")
    assert abs(by_hand(z, (10.0, 0.0625), rtol)[1] - ours.z.ravel()).max() < 100 * ours.error
    return over(
        lambda: reference_flow(model, EDM, z, 10.0, 0.0625, method="DOP853"),
        lambda: by_hand(z, (10.0, 0.0625), rtol),
        3 if states > 1000 else 9,
    )


def dopri8(law, tolerances):
    """A mixture's flow from s = 10 to 1/16 by diffrax, compiled for one state and mapped over many, at both tolerances."""
    jax = pytest.importorskip("jax", reason="a peer, which no extra brings")
    diffrax = pytest.importorskip("diffrax", reason="a peer, which no extra brings")
    jax.config.update("jax_enable_x64", True)
    weights, means, variances = (jax.numpy.asarray(np.asarray(x, float)) for x in (law.weights, law.means, law.covs))

    def slope(s, y, _):
        v, differences = variances + s * s, means - y
        densities = jax.numpy.log(weights) - len(y) / 2 * jax.numpy.log(v) - (differences**2).sum(1) / (2 * v)
        return -s * ((jax.nn.softmax(densities) / v)[:, None] * differences).sum(0)

    def one(y, tol):
        steps = {"stepsize_controller": diffrax.PIDController(rtol=tol, atol=tol), "max_steps": 100_000}
        return diffrax.diffeqsolve(
            diffrax.ODETerm(slope), diffrax.Dopri8(), 10.0, 0.0625, None, y, saveat=diffrax.SaveAt(t1=True), **steps
        ).ys[0]

    many = jax.jit(jax.vmap(one, in_axes=(0, None)))
    return lambda z: [np.asarray(many(z, tol)) for tol in tolerances]


def taylor_steps(size, count, states, first=False):
    """The reference by Taylor steps against diffrax's Dopri8, both compiled; or its first run against diffrax's, both compiling."""
    pytest.importorskip("heyoka", reason="needs the extra reference")
    rng = np.random.default_rng(0)
    law = GaussianMixture(np.full(count, 1 / count), rng.normal(size=(count, size)), rng.uniform(0.05, 0.2, count))
    z, theirs, model = 10 * normal(states, size), dopri8(law, (1e-11, 1e-13)), law.model(EDM)
    if first:
        begin = time.process_time()
        reference_flow(model, EDM, z, 10.0, 0.0625, method="taylor")
        middle = time.process_time()
        theirs(z)
        return (middle - begin) / (time.process_time() - middle)
    while not any(key[2:] == (1,) for key in vars(law).get("_taylor", {})):
        ours = reference_flow(model, EDM, z, 10.0, 0.0625, method="taylor")
    assert abs(ours.z - theirs(z)[1]).max() < 1e-11
    return over(lambda: reference_flow(model, EDM, z, 10.0, 0.0625, method="taylor"), lambda: theirs(z), 7)


ROWS = {
    "data set": data_set,
    "float32 scores: K = 2,000": lambda: short(2000, 256),
    "float32 scores: K = 60,000": lambda: short(60_000, 64),
    **{f"diagonal covariances: {n}": (lambda n=n: diagonal(n, True)) for n in (1, 64, 512)},
    **{f"diagonal covariances, new times: {n}": (lambda n=n: diagonal(n, False)) for n in (1, 64, 512)},
    **{f"DOP853: {n}": (lambda n=n: dop853(n)) for n in (1, 100, 10_000)},
    "Taylor: plane, 1": lambda: taylor_steps(2, 3, 1),
    "Taylor: 20-D, 1": lambda: taylor_steps(20, 3, 1),
    "Taylor: 20-D, K = 10, 1": lambda: taylor_steps(20, 10, 1),
    "Taylor: 20-D, 100": lambda: taylor_steps(20, 3, 100),
    "Taylor: 20-D, K = 10, 100": lambda: taylor_steps(20, 10, 100),
    "Taylor: 20-D, 100, first": lambda: taylor_steps(20, 3, 100, first=True),
}


@pytest.mark.parametrize("row", ROWS)
def test_ratio(figures, row):
    figures(lambda: {row: ROWS[row]()})
