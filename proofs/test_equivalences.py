"""Solvers that are one another under some parameters, from their programs, for every slot, every grid and every eps.

Each proof is one step from free states; where the states must be related, the step hands that relation on, which is the induction.
"""

from types import SimpleNamespace

import pytest
import sympy

from bdia_numerics import (
    BDIA,
    BELM,
    CBDIA,
    DDIM,
    DEIS,
    EDICT,
    OBELM,
    PLMS,
    DPMSolverMultistep,
    DPMSolverPP,
    Heun,
    Leapfrog,
    grids,
    solve,
)
from bdia_numerics.claims.formal import Formal, equal, for_every_slot, vectors
from bdia_numerics.solvers import BDIAHeun, Euler, McCallumFoster, Rex

G = sympy.Symbol("gamma")


def step(p, solver, registers):
    """Return the registers after the step from t_1 to t_0."""
    for_every_slot(solver)
    z = next(iter(registers.values()))
    return dict(solve(solver, p.model, p.grid[0 : 1 + ("z_prev" in registers)], z, start=registers).state.registers)


@pytest.mark.parametrize(
    "solver", [Euler(), PLMS(1), DEIS(1), DEIS(1, "sigma_bar"), DPMSolverPP(1), DPMSolverMultistep(1)], ids=repr
)
def test_first_order_members_are_ddim(solver):
    p, (z,) = Formal(1), vectors("z")
    equal(step(p, solver, {"z": z})["z"], step(p, DDIM(), {"z": z})["z"], "DDIM")
    assert step(p, Heun(), {"z": z}) != step(p, DDIM(), {"z": z})


def test_bdia_with_gamma_0_is_ddim():
    p, (older, z) = Formal(2), vectors("z_2", "z_1")
    before = {"z_prev": older, "z": z}
    equal(step(p, BDIA(0), before)["z"], step(p, DDIM(), {"z": z})["z"], "gamma = 0")
    assert step(p, BDIA(G), before)["z"].coefficient("z_2") == G
    p, (z,) = Formal(3), vectors("z")
    assert p.run(BDIAHeun(0), z) == p.run(Heun(), z)


def test_the_second_state_of_cbdia_1_minus_gamma_1_is_bdia():
    """From equal states, y_i of CBDIA (1-gamma, 1) is z_i of BDIA gamma for every i; its solution z_i is another.

    z_i is the weighted mean (1-gamma) y_i + gamma (y_{i+1} - Delta(t_i -> t_{i+1} | y_i)), which the step hands on.
    """
    p, (older, y) = Formal(2), vectors("y_2", "y_1")

    def mean(newer, older, j):
        return newer * (1 - G) + (older - p.backward(j, newer)) * G

    after = step(p, CBDIA(1 - G, 1), {"z": mean(y, older, 2), "y": y})
    bdia = step(p, BDIA(G), {"z_prev": older, "z": y})["z"]
    equal(after["y"], bdia, "y_{i-1}")
    equal(after["z"], mean(bdia, y, 1), "z_{i-1}")
    # The first slot: both states are z_N, and y_{N-1} is DDIM's, as BDIA's start.
    p, (z,) = Formal(1), vectors("z")
    first = step(p, CBDIA(1 - G, 1), {"z": z, "y": z})
    equal(first["y"], step(p, DDIM(), {"z": z})["z"], "y_{N-1}")
    equal(first["z"], first["y"] * (1 - G) + (z - p.backward(1, first["y"])) * G, "z_{N-1}")
    assert first["z"] != first["y"]


def test_belm_is_bdia_with_a_gamma_of_the_slot():
    p, (older, z), a = Formal(2), vectors("z_2", "z_1"), sympy.Symbol("a")
    before = {"z_prev": older, "z": z}

    def gamma(slot):
        return a * slot.next.alpha / slot.previous.alpha

    equal(step(p, BELM(a), before)["z"], solve(BDIA(gamma), p.model, p.grid, older, start=before).z, "BELM")
    equal(step(p, BELM(1), before)["z"], step(p, Leapfrog(), before)["z"], "a = 1 is the midpoint rule")
    assert step(p, OBELM(), before) != step(p, BELM(1), before)


def test_cbdia_1_0_is_the_coupling_of_mccallum_and_foster():
    p, (z, y) = Formal(1), vectors("z", "y")
    before = {"z": z, "y": y}
    left, right = step(p, CBDIA(1, 0), before), step(p, McCallumFoster(1, Euler()), before)
    for name in before:
        equal(left[name], right[name], name)
    assert step(p, Rex(1, Euler()), before) != right  # its scale is another: see below
    assert step(p, McCallumFoster(sympy.Rational(1, 2), Euler()), before) != right


@pytest.mark.parametrize("prediction", ["eps", "x0"])
def test_edict_without_mixing_is_rex_with_coupling_1(prediction):
    """EDICT with p = 1 and its second evaluation told t_{i-1} is Rex over Euler with coupling 1, for noise predictions alone."""
    p, (z, y) = Formal(1), vectors("z", "y")
    before = {"z": z, "y": y}
    edict, rex = (step(p, s, before) for s in (EDICT(1, shifted=True), Rex(1, Euler(), prediction=prediction)))
    assert (edict == rex) == (prediction == "eps")
    assert step(p, EDICT(1), before)["z"] == edict["z"] and step(p, EDICT(1), before)["y"] != edict["y"]


def test_rex_is_the_coupling_of_mccallum_and_foster_where_alpha_is_1():
    """Over Euler; a grid of free values has no times in between, at which other bases ask."""
    base, c = Euler(), sympy.Symbol("c")
    symbols, (z, y) = Formal(1), vectors("z", "y")
    before, one = {"z": z, "y": y}, sympy.Integer(1)
    p = SimpleNamespace(grid=grids.from_values(symbols.grid.t, [one, one], symbols.grid.sigma), model=symbols.model)
    left, right = step(p, Rex(c, base), before), step(p, McCallumFoster(c, base), before)
    for name in before:
        equal(left[name], right[name], name)
    assert step(symbols, Rex(c, base), before) != step(symbols, McCallumFoster(c, base), before)
