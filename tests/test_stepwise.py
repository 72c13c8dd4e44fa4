"""The driver: fed from outside it gives what `solve` gives, and it may be copied and pickled between any two outputs."""

import copy
import pickle
import sys

import numpy as np
import pytest

from bdia_numerics import SOLVERS, NotInvertibleError, encode, grids, schedules, solve, spaces
from bdia_numerics.runs.solving import encoding, sampling
from bdia_numerics.runs.stepwise import Stepwise
from bdia_numerics.spaces import FLOAT64

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

    monkeypatch.setattr(sys.modules["bdia_numerics.program.structure"], "identity", refused)
    while run.asks is not None:
        run.feed(model(*run.asks))
    assert run.state is not None
