"""Stormer-Verlet for z'' = a(z, t): order, exact inverse, every bit, and what it has to do with leapfrog."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy

from bdia_numerics import (
    BDIA,
    Leapfrog,
    StormerVerlet,
    encode,
    grids,
    invert,
    invertibility,
    models,
    schedules,
    solve,
    spaces,
)
from bdia_numerics.program import structure
from bdia_numerics.runs.encoding import bit_exact_round_trip
from bdia_numerics.solvers import find

EDM, SOLVER = schedules.edm(), StormerVerlet()
FAR, NEAR = 2, Fraction(1, 4)


def acceleration(z, t):
    """Nonlinear and not autonomous, with the solution z = 1/(1+t)."""
    return 2 * z * z * z + t * (z * (1 + t) - 1)


def exact(t):
    return {"v": -1 / (1 + t) ** 2, "z": 1 / (1 + t)}


def smooth(n):
    return grids.karras(EDM, n, t_max=FAR, t_min=NEAR, rho=3)


def alternating(n):
    """Steps of 1, 2, 1, 2, ... parts in t."""
    parts = np.cumsum([0, *(1 + k % 2 for k in range(n))])
    return grids.from_timesteps(EDM, (float(NEAR) + (FAR - float(NEAR)) * parts / parts[-1])[::-1])


@pytest.mark.parametrize("make", [smooth, alternating])
@pytest.mark.parametrize("register", ["z", "v"])
def test_order_2_and_not_3(make, register):
    errors = []
    for n in (100, 200):
        grid, start = make(n), {k: np.array([x]) for k, x in exact(float(FAR)).items()}
        found = solve(SOLVER, acceleration, grid, start["z"], start).state.registers[register]
        errors.append(abs(found[0] - exact(float(NEAR))[register]))
    # The slopes lie within 0.05 of 2; the finer error is some 1e-5, far above rounding.
    assert errors[1] > 1e-7
    assert 1.85 < np.log2(errors[0] / errors[1]) < 2.15


def test_one_evaluation_a_step_and_always_invertible():
    counted = models.counted(acceleration)
    start = {k: np.array([x]) for k, x in exact(2.0).items()}
    found = solve(SOLVER, counted, smooth(10), start["z"], start)
    assert structure(SOLVER).nfe == 1 and found.nfe == counted.nfe == 11
    assert str(invertibility(SOLVER)) == "always"
    assert invert(SOLVER, counted, smooth(10), found.state).nfe == 11


SYSTEMS = {
    "float32": (np.float32, lambda a, b: np.float32(a / b)),
    "float64": (np.float64, lambda a, b: np.float64(a / b)),
    "longdouble": (np.longdouble, lambda a, b: np.longdouble(a) / b),
    "mpmath": (spaces.MPMath(30), lambda a, b: mpmath.mpf(a) / b),
    "fractions": (spaces.FRACTION, Fraction),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_there_and_back_in_every_number_system(name):
    space, number = SYSTEMS[name]
    grid = grids.uniform(EDM, 4, t_max=FAR, t_min=NEAR, space=spaces.FRACTION).to(space)
    unit = {"mpmath": 1e-30, "fractions": 0}.get(name) if not isinstance(space, type) else float(np.finfo(space).eps)
    with grid.space.working():
        start = {r: np.array([number(1, 3), number(p, 7)]) for r, p in (("v", -2), ("z", 5))}

    def model(z, t):
        return t * (z * z - z) / 4

    there = solve(SOLVER, model, grid, start["z"], start)
    back = invert(SOLVER, model, grid, there.state)
    for r, value in back.state.registers.items():
        assert value.dtype == start[r].dtype
        # Four steps with factors below 3.
        assert max(abs(float(x)) for x in value - start[r]) <= 1000 * unit
    assert np.any(there.z != start["z"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_bit_returns_and_nothing_is_kept(dtype):
    rng = np.random.default_rng(0)
    start = {r: rng.standard_normal((16, 4)).astype(dtype) for r in ("v", "z")}

    def spring(z, t):
        return np.sin(z + z.dtype.type(t)) - z

    found = bit_exact_round_trip(SOLVER, spring, alternating(200), start["z"], start=start)
    assert found.status.ok and found.differing_bits == 0 and found.buffer_bits == 0
    # 200 steps of rounding to 2^-40 on a stable motion, and those of the floats.
    assert found.distance < 1e-8 if dtype is np.float64 else found.distance < 1e-2


def run_on_symbols(solver, n, equal_steps):
    """Return t_0..t_n and the states (v_i, z_i) of a run with an unknown acceleration."""
    a = sympy.Function("a")
    h = sympy.Symbol("h", positive=True)
    t = [k * h for k in range(n + 1)] if equal_steps else list(sympy.symbols(f"t_0:{n + 1}", positive=True))
    grid = grids.from_values(t, [sympy.Integer(1)] * (n + 1), t)
    start = {name: np.array([sympy.Symbol(name)], dtype=object) for name in ("v", "z")}
    states = {n: start}
    solve(
        solver, lambda z, t: np.array([a(x, t) for x in z], dtype=object), grid, start["z"], start,
        callback=lambda i, state: states.__setitem__(i, dict(state.registers)),
    )  # fmt: skip
    return a, t, states


def test_positions_follow_stormers_rule_on_any_steps():
    a, t, states = run_on_symbols(SOLVER, 2, equal_steps=False)
    z2, z1, z0 = (states[i]["z"][0] for i in (2, 1, 0))
    newer, older = t[0] - t[1], t[1] - t[2]
    rule = z1 + newer / older * (z1 - z2) + newer * (newer + older) / 2 * a(z1, t[1])
    assert sympy.simplify(z0 - rule) == 0
    # On equal steps: the second difference is h^2 a, and a wrong index is seen.
    a, t, states = run_on_symbols(SOLVER, 2, equal_steps=True)
    z2, z1, z0 = (states[i]["z"][0] for i in (2, 1, 0))
    h = t[1]
    assert sympy.simplify(z0 - 2 * z1 + z2 - h**2 * a(z1, t[1])) == 0
    assert sympy.simplify(z0 - 2 * z1 + z2 - h**2 * a(z2, t[2])) != 0


def test_the_inverse_on_symbols():
    symbols = grids.symbolic(2)
    z, v = (spaces.Vector.basis(name) for name in "zv")
    model = spaces.formal_model()
    there = solve(SOLVER, model, symbols, z, {"v": v, "z": z})
    back = invert(SOLVER, model, symbols, there.state)
    assert dict(back.state.registers) == {"v": v, "z": z}


@pytest.mark.parametrize("midpoint", [Leapfrog(), BDIA(1)], ids=["Leapfrog", "BDIA 1"])
def test_the_midpoint_rule_on_the_pair_is_two_verlets_of_twice_the_step(midpoint):
    """z at even and z' at odd indices: z_{i-1} - 2 z_{i+1} + z_{i+3} = (2h)^2 a(z_{i+1}), with z' half-way; so does the other half."""
    a, h, n = sympy.Function("a"), sympy.Symbol("h", positive=True), 5
    t = [k * h for k in range(n + 1)]
    grid = grids.from_values(t, [sympy.Integer(1)] * (n + 1), t)
    y = [np.array(sympy.symbols(f"z_{k} v_{k}"), dtype=object) for k in (5, 4)]
    run = solve(
        midpoint,
        lambda y, t: np.array([y[1], a(y[0], t)], dtype=object),
        grid,
        y[0],
        start=[y[1]],
        return_trajectory=True,
    ).trajectory
    for i in (0, 1):
        second = run[i][0] - 2 * run[i + 2][0] + run[i + 4][0]
        assert sympy.simplify(second - (2 * h) ** 2 * a(run[i + 2][0], t[i + 2])) == 0
        # z' stands half-way between two of these, and leaps from one half-way to the next.
        assert sympy.simplify(run[i][0] - run[i + 2][0] + 2 * h * run[i + 1][1]) == 0
        assert sympy.simplify(run[i + 1][1] - run[i + 3][1] + 2 * h * a(run[i + 2][0], t[i + 2])) == 0


def test_without_a_velocity_it_is_refused():
    z = np.array([1.0])
    for call in (lambda: solve(SOLVER, acceleration, smooth(4), z), lambda: encode(SOLVER, acceleration, smooth(4), z)):
        with pytest.raises(ValueError, match=r"cannot make v from a state: pass start=\{'v': ..., 'z': ...\} to solve"):
            call()
    with pytest.raises(ValueError, match=r"does not name the registers \['v', 'z'\]"):
        solve(SOLVER, acceleration, smooth(4), z, {"z": z})
    with pytest.raises(ValueError, match="not the ODE of diffusion: import it"):
        find("stormerverlet")
