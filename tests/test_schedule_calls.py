"""How often a schedule is asked: counts, which say on every machine what a time says on one."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest

from bdia_numerics import BDIA, grids, models, problems, schedules, solve, spaces
from bdia_numerics.grids import Between
from bdia_numerics.program import record_steps

QUANTITIES = ("alpha", "sigma", "alpha_dot", "sigma_dot", "sigma_bar", "time")
Z = np.array([[0.3, -0.4]])


@dataclass(frozen=True)
class Watched:
    """A schedule that counts what it is asked."""

    own: object
    asked: Counter = field(default_factory=Counter, compare=False)

    def __getattr__(self, name):
        found = getattr(self.own, name)
        if name not in QUANTITIES:
            return found

        def counted(*arguments):
            self.asked[name] += 1
            return found(*arguments)

        return counted


def watched(name="vp_cosine"):
    return Watched(getattr(schedules, name)())


@pytest.mark.parametrize("make", [grids.uniform, grids.quadratic, grids.trailing, grids.leading])
def test_a_grid_asks_for_all_its_levels_at_once(make):
    schedule = schedules.stable_diffusion() if make in (grids.trailing, grids.leading) else schedules.vp_cosine()
    few, many = (Counter(), Counter())
    for n, asked in ((5, few), (50, many)):
        recipe = make(schedule, n).recipe
        object.__setattr__(recipe, "schedule", Watched(schedule, asked))
        recipe.points(spaces.FLOAT64)
    assert few["alpha"] == many["alpha"] == 1
    assert max(few["sigma"], many["sigma"]) <= 2  # once more for the time of clean data
    assert not set(many) & {"alpha_dot", "sigma_dot"}


@pytest.mark.parametrize("schedule", [schedules.vp_linear(), schedules.vp_cosine(), schedules.ve(), schedules.flow()])
@pytest.mark.parametrize("space", [spaces.FLOAT64, spaces.LONGDOUBLE, spaces.MPMath(30)])
def test_levels_made_at_once_are_those_made_one_by_one(schedule, space):
    grid = grids.uniform(schedule, 97, space=space, t_min="0.001", t_max="0.9")
    with space.working():
        for quantity in ("alpha", "sigma"):
            assert list(getattr(grid, quantity)) == [getattr(schedule, quantity)(t) for t in grid.t]


@pytest.mark.parametrize("prediction", ["eps", "x0", "v", "velocity"])
def test_derivatives_are_asked_for_by_velocities_alone(prediction):
    schedule = watched()
    grid = grids.uniform(schedule, 8, t_min="0.02", t_max="0.95")
    schedule.asked.clear()
    solve(BDIA(0.5), models.as_prediction(lambda z, t: z, schedule.own, prediction), grid, Z)
    if prediction == "velocity":
        assert schedule.asked["alpha_dot"] == schedule.asked["sigma_dot"] == grid.n + 1  # one for each point
    else:
        assert not schedule.asked


def test_a_time_between_two_points_needs_no_derivatives():
    schedule = watched()
    grid = grids.uniform(schedule, 4, t_min="0.02", t_max="0.95")
    schedule.asked.clear()
    level = grid.level(Between(3, 2, "1/3"))
    assert schedule.asked == {"time": 1, "alpha": 1, "sigma": 1}
    assert grid.point(Between(3, 2, "1/3"))[:3] == level


def test_a_trace_has_derivatives_where_they_are_wanted():
    trace = record_steps(BDIA(), grids.uniform(schedules.flow(), 4, space=spaces.FRACTION, t_max="0.9")).trace
    assert trace.point(2).alpha_dot is None
    assert trace.point(2, derivatives=True)[3:] == (-1, 1)
    assert trace.point(2)[3:] == (-1, 1)  # and keeps them


def test_a_model_asks_for_a_level_once():
    schedule = watched()
    model = problems.GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.5]], [0.1, 0.2]).model(schedule)
    grid = grids.uniform(schedule, 8, t_min="0.02", t_max="0.95")
    first = solve(BDIA(0.5), model, grid, Z).z
    schedule.asked.clear()
    assert np.array_equal(solve(BDIA(0.5), model, grid, Z).z, first)
    assert not schedule.asked


def test_what_models_remember_of_a_schedule_is_bounded():
    model = problems.Gaussian([0.0, 1.0]).model(schedules.flow())
    for t in np.linspace(0.1, 0.9, 20_000):
        model(Z, t)
    assert 0 < len(model._levels) < 20_000
    # What it remembers in float64 is not what it answers in longdouble.
    wide = Z.astype(np.longdouble)
    assert np.array_equal(model(wide, 0.1), -np.longdouble(0.1) * model.law.score(wide, 0.1, schedules.flow()))


def test_models_share_what_they_remember_of_equal_schedules_that_are_values():
    here, there = problems.Gaussian([0.0, 1.0]), problems.Gaussian([2.0, 1.0])
    assert here.model(schedules.vp_linear())._levels is there.model(schedules.vp_linear())._levels
    assert here.model(schedules.vp_linear())._levels is not here.model(schedules.vp_linear(beta_max=10))._levels
    scale = [1.0]
    schedule = schedules.from_functions(lambda t: 1 - t, lambda t: scale[0] * t)
    first = here.model(schedule)(Z, 0.5)
    scale[0] = 2.0  # functions may answer otherwise the next time
    assert not np.array_equal(here.model(schedule)(Z, 0.5), first)


@pytest.mark.parametrize("law", [problems.Empirical(np.eye(3, 2)), problems.Uniform([-1, 0], [1, 2])])
def test_the_reference_of_a_distribution_asks_no_schedule_on_its_way(law):
    """dy/ds is the prediction at alpha = 1 and sigma = s: nothing of a schedule is left in it but the two ends."""
    counts = []
    for t_to in (0.5, 0.02):
        schedule = watched()
        run = problems.reference_flow(law.model(schedule), schedule, Z, 0.9, t_to, method="DOP853")
        counts.append(sum(schedule.asked.values()))
    assert counts[0] == counts[1]
    # A foreign model is asked at a time and a state of the schedule, two questions an evaluation.
    own = law.model(schedule.own)
    schedule.asked.clear()
    foreign = problems.reference_flow(own.__call__, schedule, Z, 0.9, 0.02, method="DOP853")
    assert schedule.asked["time"] == foreign.nfe
    assert schedule.asked["alpha"] <= foreign.nfe + 6
    assert schedule.asked["sigma"] == 0
    np.testing.assert_allclose(run.z, foreign.z, rtol=0, atol=run.error + foreign.error)
