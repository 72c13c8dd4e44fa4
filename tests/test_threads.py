"""Runs in several threads: each computes with its own digits, and leaves the process as it was.

The barriers make the interleavings certain: while one thread is in a model's or a callback's body, the other is, too.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from fractions import Fraction

import flint
import mpmath
import numpy as np
import pytest
from mpmath import libmp, mp, mpf

from bdia_numerics import BDIA, DDIM, grids, schedules, solve, spaces
from bdia_numerics.problems import GaussianMixture, Uniform, certified_flow

LAW = GaussianMixture([Fraction(1, 4), Fraction(3, 4)], [[-1], [1]], [Fraction(1, 4), Fraction(1, 2)])
TIMES = (Fraction(3, 4), Fraction(1, 8))
SECONDS = 20


@pytest.fixture(autouse=True)
def the_process_is_left_as_it_was():
    before = mp.prec, mp.dps, flint.ctx.prec, flint.ctx.cap
    yield
    assert (mp.prec, mp.dps, flint.ctx.prec, flint.ctx.cap) == before


def together(*jobs):
    """Run each job in a thread of its own, and return what they return; an exception in one is raised."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result(SECONDS) for future in [pool.submit(job) for job in jobs]]


def grid_of(space):
    return grids.uniform(schedules.flow(), 4, t_max=TIMES[0], t_min=TIMES[1]).to(space)


def sampled(space, model, solver=None, **options):
    """One run from z = 1/3; its end as text, with all its digits."""
    with space.working():
        z = space.array([space.number(Fraction(1, 3))])
    found = solve(solver or BDIA(), model, grid_of(space), z, **options).z[0]
    return found._mpf_ if hasattr(found, "_mpf_") else str(found)


def both_inside(model, barrier, change=lambda: None):
    """The model, called while both threads are in one; `change` happens between."""

    def called(z, t):
        barrier.wait(SECONDS)
        change()
        barrier.wait(SECONDS)
        return model(z, t)

    return called


def by_functions(z, t):
    """A model of mpmath's own functions, which round as the thread's precision says."""
    return np.array([mp.exp(-x * x) * mp.sin(x) / 3 for x in z], dtype=object)


@pytest.mark.parametrize("model", [LAW.model(schedules.flow()), by_functions])
def test_runs_of_different_digits_at_once(model):
    """Kills: one precision for the process."""
    alone = [sampled(spaces.MPMath(dps), model) for dps in (20, 80)]
    barrier = threading.Barrier(2)
    waiting = both_inside(model, barrier)
    found = together(*(lambda dps=dps: sampled(spaces.MPMath(dps), waiting) for dps in (20, 80)))
    assert found == alone


def test_a_model_that_changes_the_precision_while_another_waits():
    """One model sets 7 digits and leaves them; neither its own run nor that of the other thread is moved by it."""
    alone = [sampled(spaces.MPMath(dps), by_functions) for dps in (20, 80)]
    barrier = threading.Barrier(2)

    def rude():
        mp.dps = 7

    def own_digits(z, t):
        with mp.workdps(20):
            return by_functions(z, t)

    jobs = (
        lambda: sampled(spaces.MPMath(20), both_inside(own_digits, barrier, rude)),
        lambda: sampled(spaces.MPMath(80), both_inside(by_functions, barrier)),
    )
    assert together(*jobs) == alone


def test_a_callback_that_changes_the_precision():
    alone = sampled(spaces.MPMath(40), by_functions)

    def rude(i, state):
        mp.dps = 5

    assert sampled(spaces.MPMath(40), by_functions, callback=rude) == alone


def test_exact_flows_of_different_digits_at_once():
    """Kills: digits that transports and quadratures set for the process."""
    laws = {"mixture": LAW, "box": Uniform([Fraction(-1)], [Fraction(2)])}

    def moved(law, dps):
        with spaces.MPMath(dps).working():
            z = np.array([[mp.mpf(1) / 3]], dtype=object)
            return [law.flow(z, *TIMES, schedules.flow())[0, 0]._mpf_ for _ in range(5)]

    jobs = [(law, dps) for law in laws.values() for dps in (20, 60)]
    assert together(*(lambda job=job: moved(*job) for job in jobs)) == [moved(*job) for job in jobs]
    wide = np.array([[np.longdouble(1) / 3]])
    alone = LAW.flow(wide, 0.75, 0.125, schedules.flow())
    for found in together(*[lambda: LAW.flow(wide, 0.75, 0.125, schedules.flow())] * 4):
        np.testing.assert_array_equal(found, alone)


def test_balls_of_different_bits_at_once():
    """Both are enclosures, in their own bits or more; Kills: the fewer bits for both."""
    model, barrier = LAW.model(schedules.flow()), threading.Barrier(2)

    def radius(prec, model):
        space = spaces.Balls(prec)
        z = space.array([space.number(Fraction(1, 3))])
        found = solve(DDIM(), model, grid_of(space), z).z[0]
        return found, float(found.rad())

    (short, wide), (long, narrow) = (radius(prec, model) for prec in (53, 200))

    def rude():
        flint.ctx.prec = 10

    def few():
        return radius(53, both_inside(model, barrier, rude))

    def many():
        return radius(200, both_inside(model, barrier))

    # Either may be the last to ask.
    for found in (together(few, many), together(many, few)[::-1]):
        assert found[0][1] <= wide and found[1][1] <= narrow
        assert all(ball.overlaps(other) for ball, _ in found for other in (short, long))


def test_certified_flows_at_once():
    """Kills: power series that another thread cuts short, whose enclosures would be false."""
    plane = GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.5]], [0.25, 0.5])

    def run(prec):
        return certified_flow(
            plane, schedules.flow(), [[Fraction(1, 3), Fraction(1, 5)]], TIMES[0], Fraction(47, 64), prec=prec
        )

    alone = run(96)
    for prec, found in zip((64, 96), together(lambda: run(64), lambda: run(96)), strict=True):
        assert found.certificate.error <= alone.certificate.error * 2.0 ** (96 - prec) * 1e3
        assert all(a.overlaps(b) for a, b in zip(found.z.flat, alone.z.flat, strict=True))


@pytest.mark.parametrize("space", [spaces.MPMath(80), spaces.Balls(300)])
def test_an_exception_leaves_the_precision(space):
    class Broken(Exception):
        pass

    def broken(z, t):
        if isinstance(space, spaces.Balls):
            flint.ctx.prec = 99
        else:
            mp.dps = 33
        raise Broken

    with pytest.raises(Broken):
        sampled(space, broken)


def test_what_users_see_of_mpmath_is_unchanged():
    with mp.workdps(30):
        assert mp.dps == 30 and str(+mp.pi) == "3.14159265358979323846264338328"
        with spaces.MPMath(10).working():
            assert mp.dps == 10
            mp.dps = 12
            assert str(mp.sqrt(2)) == "1.41421356237"
        assert mp.dps == 30
    assert isinstance(mp.mpf(1), mpf) and mpmath.mpf(1) / 3 == mpmath.mpf(libmp.from_float(1 / 3))
    other = mp.clone()
    other.dps = 70
    assert (other.dps, other.prec, mp.dps) == (70, 236, 15) and str(other.sqrt(2))[60:70] == "7973799073"[:10]


def overlapping(context, holds=lambda: True):
    """Two threads inside a context at once; the first to come is the first to leave, and what it is for still holds for the other."""
    inside, left = threading.Barrier(2), threading.Event()

    def first():
        with context():
            inside.wait(SECONDS)
            inside.wait(SECONDS)
        left.set()

    def second():
        inside.wait(SECONDS)
        with suppress(ZeroDivisionError), context():
            inside.wait(SECONDS)
            assert left.wait(SECONDS)
            assert holds()
            raise ZeroDivisionError

    together(first, second)


def test_blas_has_its_threads_again():
    from threadpoolctl import threadpool_info, threadpool_limits

    from bdia_numerics.studies.engine.local import one_blas_thread

    def threads():
        return {library["filepath"]: library["num_threads"] for library in threadpool_info()}

    with threadpool_limits(limits=2):
        before = threads()
        with one_blas_thread():
            assert set(threads().values()) == {1}
        first, second = one_blas_thread(), one_blas_thread()
        first.__enter__(), second.__enter__()
        first.__exit__(None, None, None)
        assert set(threads().values()) == {1}
        second.__exit__(None, None, None)
        assert threads() == before
        overlapping(one_blas_thread)
        assert threads() == before


def test_loggers_have_their_levels_again():
    """Kills: each thread restoring the level that another one had set."""
    import logging

    folders = pytest.importorskip("bdia_numerics.torch.networks.folders")

    def levels():
        return [logging.getLogger(name).level for name in ("diffusers", "huggingface_hub")]

    before = levels()
    overlapping(folders.quiet, lambda: min(levels()) > logging.CRITICAL)
    assert levels() == before
