"""The registers that a run begins with: made in one way by every kind of run, and looked at like those of every step."""

import warnings
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from bdia_numerics import ALF, BDIA, EDICT, State, encode, grids, schedules, solve
from bdia_numerics.program import structure

GRID = grids.uniform(schedules.vp_cosine(), 4, t_max=0.9, t_min=0.05)
Z = np.array([[0.3, -0.7], [1.1, 0.2]])


def model(z, t):
    return np.tanh(z)


@dataclass(frozen=True)
class Pair:
    """A one-step solver with two states at one time, under the names that a multistep solver has for two times."""

    registers = ("z_prev", "z")

    def step(self, s):
        z_prev, z = s.registers
        s.assign(z_prev, z_prev + s.delta(s.i, s.i - 1, z_prev, s.eps(z_prev)), at=s.i - 1)
        s.assign(z, z + s.delta(s.i, s.i - 1, z, s.eps(z)), at=s.i - 1)


def test_states_of_the_starter_are_not_shown_as_those_of_the_solver():
    assert structure(BDIA()).registers == Pair.registers
    seen = []
    found = solve(BDIA(), model, GRID, Z, Pair(), callback=lambda i, state: seen.append((i, dict(state.times))))
    assert found.status.ok
    # BDIA has z_{i+1} and z_i; the starter's two states stand at one time.
    assert seen == [(i, {"z_prev": i + 1, "z": i}) for i in (3, 2, 1, 0)]


class Failing:
    """A model whose output is infinite at its k-th evaluation."""

    def __init__(self, k):
        self.left = k

    def __call__(self, z, t):
        self.left -= 1
        return np.full_like(z, np.inf) if self.left == 0 else np.tanh(z)


def test_a_first_register_that_is_not_finite_is_in_the_status_and_blames_no_argument():
    # ALF keeps dz/dt, which its start takes from the first evaluation.
    found = encode(ALF(), Failing(1), GRID, Z)
    assert (found.status.ok, found.status.register, found.status.slot) == (False, "v", 1)


def test_starters_are_refused_alike():
    torch = pytest.importorskip("torch", reason="needs the extra torch")
    from bdia_numerics.torch import gradients

    z = torch.from_numpy(Z)
    said = []
    for run in (solve, gradients.solve):
        with pytest.raises(ValueError, match="is not a one-step solver") as error:
            run(BDIA(), lambda z, t: torch.tanh(z), GRID, z, BDIA())
        said.append(str(error.value))
    assert said[0] == said[1]


def test_a_scheduler_sees_every_register_that_is_not_finite():
    torch = pytest.importorskip("torch", reason="needs the extra torch")
    pytest.importorskip("diffusers", reason="needs the extra torch")
    from bdia_numerics.torch.schedulers import EDICTInverseScheduler, SolverInverseScheduler

    z = torch.from_numpy(Z)[None]
    for scheduler, n, bad in ((EDICTInverseScheduler(), 1, 0), (SolverInverseScheduler(solver_spec="bdia2"), 3, 3)):
        scheduler.set_timesteps(n)
        x = z
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for k, t in enumerate(scheduler.timesteps):
                x = scheduler.step(torch.tanh(x) * (float("inf") if k == bad else 1.0), t, x).prev_sample
        assert any("is not finite" in str(warning.message) for warning in said)
        assert not scheduler.status.ok, scheduler


def test_first_registers_at_the_data_end_are_steps_of_the_starter_on_the_reversed_grid():
    grid = grids.from_values(
        [Fraction(k + 1, 8) for k in range(4)],
        [Fraction(9 - k, 10) for k in range(4)],
        [Fraction(2 * k + 1, 14) for k in range(4)],
    )
    x = np.array([Fraction(1, 3), Fraction(-2, 5)], dtype=object)
    eps = lambda z, t: z / 2 - t * z / 3 + Fraction(1, 5)  # noqa: E731
    latent = encode(BDIA(), eps, grid, x)
    back = solve(BDIA(), eps, grid, latent.state)
    # Eq. (25) written towards the noise, by hand: z_1 = alpha_1/alpha_0 (x - sigma_0 e) + sigma_1 e.
    e = eps(x, grid.t[0])
    z_1 = grid.alpha[1] / grid.alpha[0] * (x - grid.sigma[0] * e) + grid.sigma[1] * e
    assert isinstance(back.state, State)
    assert list(back.state.registers["z_prev"]) == list(z_1)
    assert list(back.z) == list(x)
    assert encode(EDICT(), eps, grid, x).nfe == 2 * grid.n
