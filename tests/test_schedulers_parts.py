"""Runs over a part of the grid: an inverse of less strength, the way back from where it stopped, an inverse that begins above the data."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("diffusers", reason="needs the extra torch")

from test_schedulers import CASES, SAMPLE, STABLE, UNIT, grid_of, loop, made, model  # noqa: E402

from bdia_numerics import encode, invert, solve  # noqa: E402
from bdia_numerics.torch import schedulers  # noqa: E402

pytestmark = pytest.mark.filterwarnings(r"ignore:OBELM\(.*\) on these [3-8] slots multiplies errors by")
SLOTS = 8


def stopped(scheduler, z, slots, extra=0):
    """Run the steps of some slots only, and those that make the first states; return where the model would be asked next."""
    for t in scheduler.timesteps[: slots * scheduler.order + extra]:
        z = scheduler.step(model(scheduler.scale_model_input(z, t), t), t, z).prev_sample
    return z


@pytest.mark.parametrize("strength", [3, 5])
@pytest.mark.parametrize("case", CASES)
def test_an_inverse_of_less_strength_and_the_way_back(case, strength):
    """It is `encode` on the part of the grid, to the bit, and the sampler returns from there to the data."""
    sampler, inverse = made(case, **STABLE)
    part = grid_of(sampler, SLOTS)[:strength]
    coded = encode(inverse.solver, model, part, SAMPLE)
    inverse.set_timesteps(SLOTS)
    stopped_where(inverse, SAMPLE, coded.state.times)
    state = inverse.state
    assert state.times == coded.state.times and state.grid == coded.state.grid and state.solver == coded.state.solver
    assert all(torch.equal(state.registers[name], value) for name, value in coded.state.registers.items())
    sampler.start_from(state)
    sampler.set_timesteps(SLOTS)
    there = solve(sampler.solver, model, part, coded.state)
    assert len(sampler.timesteps) == inverse.step_index
    z = state.registers["z"]
    back = loop(sampler, z)
    assert torch.equal(back, there.z) and float(abs(back - SAMPLE).max()) < 300 * UNIT[torch.float64]
    # From other states at that level it comes elsewhere.
    sampler.start_from(None)
    sampler.set_timesteps(SLOTS)
    assert float(abs(loop(sampler, z) - SAMPLE).max()) > 1e-3


def stopped_where(scheduler, z, times):
    """Make steps until the registers stand at given indices."""
    for t in scheduler.timesteps:
        z = scheduler.step(model(scheduler.scale_model_input(z, t), t), t, z).prev_sample
        try:
            if scheduler.state.times == times:
                return
        except ValueError:
            pass
    raise AssertionError("the run never stood there")


@pytest.mark.parametrize("case", CASES)
def test_a_sampler_that_stops_early_and_its_inverse(case):
    sampler, inverse = made(case, **STABLE)
    grid = grid_of(sampler, SLOTS)
    there = solve(sampler.solver, model, grid[3:], SAMPLE)
    sampler.set_timesteps(SLOTS)
    stopped_where(sampler, SAMPLE, there.state.times)
    state = sampler.state
    assert all(torch.equal(state.registers[name], value) for name, value in there.state.registers.items())
    inverse.start_from(state)
    inverse.set_timesteps(SLOTS)
    assert torch.equal(loop(inverse, state.registers["z"]), invert(sampler.solver, model, grid[3:], state).z)


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("case", ["bdia", "edict", "cbdia", "cbdia 0, 1", "obelm", "mccallum-foster"])
def test_an_inverse_that_begins_above_the_data(case, told):
    """Of states that are noised already: `encode` on the rest of the grid."""
    _, inverse = made(case, **STABLE)
    rest = grid_of(inverse, SLOTS)[3:]
    inverse.set_timesteps(SLOTS)
    coded = encode(inverse.solver, model, rest, SAMPLE)
    begin = len(inverse.timesteps) - coded.nfe
    if told:
        inverse.set_begin_index(begin)
    z = SAMPLE
    for t in inverse.timesteps[begin:]:
        z = inverse.step(model(z, t), t, z).prev_sample
    assert torch.equal(z, coded.z) and inverse.state.times == coded.state.times and inverse.begin_index == begin


def test_between_two_evaluations_of_a_slot_there_is_no_state():
    sampler, inverse = made("edict", **STABLE)
    for scheduler in (sampler, inverse):
        scheduler.set_timesteps(SLOTS)
        stopped(scheduler, SAMPLE, 2, extra=1)
        with pytest.raises(ValueError, match="state is known after whole slots"):
            _ = scheduler.state


@pytest.mark.parametrize(("name", "own"), [("EDICT", {}), ("CBDIA", {}), ("Solver", {"solver_spec": "alf"})])
def test_a_part_of_samples_that_are_scaled_begins_with_a_register(name, own):
    """These solvers hand out no register between two slots, and the samples of EulerDiscreteScheduler are z/alpha."""
    entries = {"_class_name": "EulerDiscreteScheduler"}
    sampler, inverse = (
        getattr(schedulers, name + way).from_config(entries, **own) for way in ("Scheduler", "InverseScheduler")
    )
    x = SAMPLE.float()
    inverse.set_timesteps(SLOTS)
    z = stopped(inverse, x, 3)
    sampler.start_from(inverse.state)
    sampler.set_timesteps(SLOTS)
    with pytest.raises(ValueError, match=r"where it stopped early, state\.registers\['z'\] in their dtype"):
        loop(sampler, z)
    assert torch.equal(loop(sampler, inverse.state.registers["z"].float()), x)
