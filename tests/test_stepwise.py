"""The driver: fed from outside it gives what `solve` gives, and it may be copied and pickled between any two outputs."""

import copy
import pickle
import sys

import numpy as np
import pytest

from bdia_numerics import SOLVERS, NotInvertibleError, encode, grids, schedules, solve, spaces
from bdia_numerics.program import make_plan, record_steps
from bdia_numerics.runs.solving import encoding, sampling
from bdia_numerics.runs.stepwise import Stepwise
from bdia_numerics.spaces import FLOAT64, kernel

GRID = grids.uniform(schedules.vp_cosine(), 6, t_max=0.9, t_min=0.05)
Z = np.array([[0.3, -0.7], [1.1, 0.2]])


def model(z, t):
    return np.tanh(z) + z * t / 8


def moved(run, way):
    """Return the run itself, a copy, or what comes back from a file."""
    return {"kept": lambda r: r, "copied": copy.deepcopy, "pickled": lambda r: pickle.loads(pickle.dumps(r))}[way](run)


def fed(course, z, space, model, way):
    run = Stepwise(course, {"z": z}, space)
    while run.asks is not None:
        value, t = run.asks
        output = model(value, t)
        other = moved(run, way)
        if other is not run:  # the one that is left behind goes elsewhere, and does not take the other along
            run.feed(-output)
        other.feed(output)
        run = other
    return run


@pytest.mark.parametrize("way", ["kept", "copied", "pickled"])
@pytest.mark.parametrize("name", SOLVERS)
def test_a_run_that_is_fed_ends_where_solve_ends(name, way):
    solver = SOLVERS[name]()
    run, found = fed(sampling(solver, GRID, "eps"), Z, FLOAT64, model, way), solve(solver, model, GRID, Z)
    assert run.done
    assert run.place == found.nfe
    assert np.array_equal(run.value, found.z)
    assert run.state == found.state


@pytest.mark.parametrize("way", ["kept", "copied"])
@pytest.mark.parametrize("name", SOLVERS)
def test_a_run_that_is_fed_ends_where_encode_ends(name, way):
    solver = SOLVERS[name]()
    try:
        course = encoding(solver, GRID, "eps")
    except NotInvertibleError:
        assert encode(solver, model, GRID, Z).inversion != "derived inverse"
        return
    run, found = fed(course, Z, FLOAT64, model, way), encode(solver, model, GRID, Z)
    assert run.place == found.nfe
    assert run.state == found.state
    assert np.array_equal(run.value, found.z)


def test_integers_go_on_from_a_copy():
    z = spaces.Lattice.from_float(Z, bits=30)
    space = spaces.of(z)
    solver = SOLVERS["BDIA"](0.5)  # which loses digits to the remainder in every slot
    run = fed(sampling(solver, GRID, "eps", space), z, space, model, "copied")
    found = solve(solver, model, GRID, z)
    assert found.state.remainder
    assert run.state == found.state


def test_a_run_that_is_over_takes_no_output():
    run = fed(sampling(SOLVERS["DDIM"](), GRID, "eps"), Z, FLOAT64, model, "kept")
    with pytest.raises(ValueError, match="all 6 outputs of the run are taken"):
        run.feed(Z)


def test_steps_do_not_ask_again_which_solver_it_is(monkeypatch):
    run = Stepwise(sampling(SOLVERS["BDIA"](), GRID, "eps"), {"z": Z}, FLOAT64)

    def refused(*_):
        raise AssertionError

    monkeypatch.setattr(sys.modules["bdia_numerics.program.identity"], "identity", refused)
    while run.asks is not None:
        run.feed(model(*run.asks))
    assert run.state is not None


# What a step costs, in counts, which no other program on the machine can change.


def counted(monkeypatch, owner, name):
    """Count the calls of a function from here on."""
    real, calls = getattr(owner, name), []
    monkeypatch.setattr(owner, name, lambda *args, **kwargs: calls.append(1) or real(*args, **kwargs))
    return calls


@pytest.mark.parametrize(
    ("name", "products", "sums", "looks", "fresh"),
    # A mix of two registers needs both until one of the new ones is made, so that EDICT takes an array a step and gives one back.
    [("BDIA", 2, 2, 1, 0), ("DDIM", 2, 1, 1, 0), ("EDICT", 8, 4, 2, 1)],
)
def test_a_step_is_its_products_and_sums_into_memory_that_stands(monkeypatch, name, products, sums, looks, fresh):
    """Kills: a fresh array a term, products by 1, and a look at what was looked at."""
    grid = grids.uniform(schedules.vp_cosine(), 40, t_max=0.9, t_min=0.05)
    run = Stepwise(sampling(SOLVERS[name](), grid, "eps"), {"z": np.ones((50, 3))}, FLOAT64)
    steps, output = 4, np.full((50, 3), 0.5)
    for _ in range(steps * run.course.shape.nfe):  # the start, and until the caller's array is read no more
        run.feed(output)
    places = ((kernel, "multiply"), (kernel, "add"), (np, "isfinite"), (np, "empty_like"))
    found = [counted(monkeypatch, *place) for place in places]
    for _ in range(steps * run.course.shape.nfe):
        run.feed(output)
    assert [len(calls) / steps for calls in found] == [products, sums, looks, fresh]


def test_no_step_asks_the_schedule_or_the_grid(monkeypatch):
    grid = grids.uniform(schedules.vp_cosine(), 12, t_max=0.9, t_min=0.05)
    expected = solve(SOLVERS["BDIA"](), model, grid, Z).z

    def refused(*_):
        raise AssertionError

    for owner in (type(grid), type(grid.schedule)):
        for name in ("point", "level", "alpha", "sigma", "alpha_dot", "sigma_dot"):
            if callable(getattr(owner, name, None)):
                monkeypatch.setattr(owner, name, refused)
    assert np.array_equal(solve(SOLVERS["BDIA"](), model, grid, Z).z, expected)


@pytest.mark.parametrize("name", ["BDIA", "EDICT", "OBELM"])
def test_a_plan_takes_as_many_calls_a_slot_on_long_grids_as_on_short_ones(name):
    """Kills: a search through all evaluations for each one."""

    def calls(n):
        run = record_steps(SOLVERS[name](), grids.uniform(schedules.vp_cosine(), n, t_max=0.9, t_min=0.05))
        count = [0]
        sys.setprofile(lambda *_: count.__setitem__(0, count[0] + 1))
        try:
            make_plan(run, FLOAT64)
        finally:
            sys.setprofile(None)
        return count[0]

    short, middle, long = (calls(n) for n in (40, 80, 160))
    assert abs((long - middle) - 2 * (middle - short)) <= 0.02 * (long - middle)  # dictionaries grow now and then
