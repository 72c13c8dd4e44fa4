"""BDIA, EDICT, CBDIA and O-BELM as diffusers' schedulers: the runs of `solve`, `encode` and `invert`, fed one model output at a time."""

import copy
import pickle

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
diffusers = pytest.importorskip("diffusers", reason="needs the extra torch")

from bdia_numerics import encode, grids, invert, schedules, solve  # noqa: E402
from bdia_numerics.models import v as v_model, x0 as x0_model  # noqa: E402
from bdia_numerics.program import NotInvertibleError  # noqa: E402
from bdia_numerics.torch import schedulers  # noqa: E402
from bdia_numerics.torch.schedulers import BDIAScheduler, EDICTScheduler, SolverScheduler  # noqa: E402

# The steps of leading times are so uneven that O-BELM's inverse is warned of; tests/test_schedulers_misuse.py looks at such warnings.
pytestmark = pytest.mark.filterwarnings(r"ignore:OBELM\(.*\) on these 8 slots multiplies errors by")
torch.set_num_threads(1)
SAMPLE = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
UNIT = {t: torch.finfo(t).eps for t in (torch.float64, torch.float32)}
STABLE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
CASES = {
    "bdia": ("BDIA", {}),
    "bdia 9/10": ("BDIA", {"gamma": 0.9}),
    "edict": ("EDICT", {}),
    "edict shifted": ("EDICT", {"p": 0.97, "shifted": True, "exchange": True}),
    "cbdia": ("CBDIA", {}),
    "cbdia 0, 1": ("CBDIA", {"gamma1": 0.0, "gamma2": 1.0}),
    "obelm": ("OBELM", {}),
    "mccallum-foster": ("Solver", {"solver_spec": "mccallumfoster:coupling=99/100"}),
    "reversible heun": ("Solver", {"solver_spec": "reversibleheun"}),
    "bdia2": ("Solver", {"solver_spec": "bdia2"}),
}


def made(case, **config):
    name, own = CASES[case]
    return tuple(getattr(schedulers, f"{name}{way}Scheduler")(**own, **config) for way in ("", "Inverse"))


def model(z, t):
    """A network's stand-in, which knows no time before 0."""
    return torch.tanh(z) * (1 + max(float(t), 0.0) / 1000) / 2


def loop(scheduler, z, predict=model):
    """The loop of every pipeline."""
    for t in scheduler.timesteps:
        output = predict(scheduler.scale_model_input(z, t), t)
        z = scheduler.step(output, t, z, return_dict=False)[0]
    return z


def grid_of(scheduler, n, one=True):
    table = scheduler.alphas_cumprod.double().numpy()
    offset = scheduler.config.steps_offset
    return grids.leading(schedules.from_alphas_cumprod(table), n, steps_offset=offset, final_alpha=1 if one else None)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("one", [True, False], ids=["to clean data", "to t = 0"])
def test_the_run_is_that_of_solve_encode_and_invert(case, one):
    """The same plans on the same numbers: no bit differs. From a State there are the entries of the opposite run without one, backwards."""
    sampler, inverse = made(case, set_alpha_to_one=one, **STABLE)
    grid = grid_of(sampler, 8, one)
    sampler.set_timesteps(8)
    inverse.set_timesteps(8)
    there = solve(sampler.solver, model, grid, SAMPLE)
    assert torch.equal(loop(sampler, SAMPLE), there.z) and len(sampler.timesteps) == there.nfe
    for name, value in there.state.registers.items():
        assert torch.equal(sampler.state.registers[name], value)
    assert sampler.state.times == there.state.times

    down, up = sampler.timesteps.tolist(), inverse.timesteps.tolist()
    coded = encode(inverse.solver, model, grid, SAMPLE)
    assert torch.equal(loop(inverse, SAMPLE), coded.z) and len(inverse.timesteps) == coded.nfe
    # The states of either side start the other's run.
    inverse.start_from(there.state)
    inverse.set_timesteps(8)
    back = invert(sampler.solver, model, grid, there.state)
    # The steps of BDIA's second order and their inverse evaluate two states in another order.
    order = sorted if case == "bdia2" else list
    assert torch.equal(loop(inverse, there.z), back.z) and order(inverse.timesteps.tolist()) == order(down[::-1])
    sampler.start_from(coded.state)
    sampler.set_timesteps(8)
    assert torch.equal(loop(sampler, coded.z), solve(sampler.solver, model, grid, coded.state).z)
    assert order(sampler.timesteps.tolist()) == order(up[::-1])


@pytest.mark.parametrize(("kind", "wrapped"), [("v_prediction", v_model), ("sample", x0_model)])
@pytest.mark.parametrize("case", ["bdia", "edict", "cbdia", "obelm"])
def test_other_predictions(case, kind, wrapped):
    sampler, inverse = made(case, prediction_type=kind, set_alpha_to_one=False, **STABLE)
    grid = grid_of(sampler, 8, one=False)
    for scheduler, run in ((sampler, solve), (inverse, encode)):
        scheduler.set_timesteps(8)
        assert torch.equal(loop(scheduler, SAMPLE), run(scheduler.solver, wrapped(model), grid, SAMPLE).z)


@pytest.mark.parametrize("dtype", UNIT, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_round_trips(case, dtype):
    """From data and back: to rounding, magnified by mixing (p^-2N = 4.3 for EDICT) and by 1/alpha = 10 on the way.

    Eight steps; the other way round what is magnified is the amplification of the inverse, which `amplification` measures.
    """
    sampler, inverse = made(case, **STABLE)
    x = SAMPLE.to(dtype)
    inverse.set_timesteps(8)
    z = loop(inverse, x)
    sampler.start_from(inverse.state)
    sampler.set_timesteps(8)
    assert float(abs(loop(sampler, z) - x).max()) < 300 * UNIT[dtype]
    # From the latents alone the start is another one, and the trip is not exact.
    sampler.start_from(None)
    sampler.set_timesteps(8)
    assert float(abs(loop(sampler, z) - x).max()) > 1e-5


def test_times_are_those_at_which_the_model_is_asked():
    times = {
        "bdia": ([601, 401, 201, 1], [0, 1, 201, 401]),
        "edict": ([601, 601, 401, 401, 201, 201, 1, 1], [1, 1, 201, 201, 401, 401, 601, 601]),
        "cbdia 0, 1": ([601, 401, 201, 1, 0], [0, 1, 201, 401, 601]),
    }
    for case, expected in times.items():
        for scheduler, told in zip(made(case, num_train_timesteps=800, **STABLE), expected, strict=True):
            scheduler.set_timesteps(4)
            assert scheduler.timesteps.tolist() == told and scheduler.timesteps.dtype == torch.int64
            assert scheduler.num_inference_steps == 4
    for case, order in (("bdia", 1), ("edict", 2), ("cbdia", 2), ("cbdia 0, 1", 1), ("obelm", 1)):
        for scheduler in made(case, **STABLE):
            scheduler.set_timesteps(4)
            assert scheduler.order == order


def test_stages_between_training_steps():
    scheduler = SolverScheduler(solver_spec="rk4", **STABLE)
    scheduler.set_timesteps(5)
    grid = grid_of(scheduler, 5)
    assert len(scheduler.timesteps) == 20 and scheduler.timesteps.dtype == torch.float32 and scheduler.order == 4
    asked = []

    def listening(z, t):
        asked.append(float(t))
        return model(z, t)

    expected = solve(scheduler.solver, listening, grid, SAMPLE)
    assert torch.allclose(scheduler.timesteps, torch.tensor(asked).clamp(min=0))
    assert torch.allclose(loop(scheduler, SAMPLE), expected.z, rtol=0, atol=1e-5)  # times in float32


def test_a_slot_without_length_is_left_out():
    scheduler = BDIAScheduler(set_alpha_to_one=False)
    scheduler.set_timesteps(10)
    assert scheduler.timesteps.tolist() == [900, 800, 700, 600, 500, 400, 300, 200, 100]
    scheduler = BDIAScheduler(timestep_spacing="trailing")
    scheduler.set_timesteps(61)
    assert len(scheduler.timesteps) == 61 and scheduler.timesteps[-1] > 0


def test_times_of_ones_own():
    scheduler = EDICTScheduler(**STABLE)
    scheduler.set_timesteps(timesteps=[999, 850, 500, 24])
    assert scheduler.timesteps.tolist() == [999, 999, 850, 850, 500, 500, 24, 24] and scheduler.num_inference_steps == 4
    schedule = schedules.from_alphas_cumprod(scheduler.alphas_cumprod.double().numpy())
    grid = grids.from_timesteps(schedule, [999, 850, 500, 24], final_alpha=1)
    assert torch.equal(loop(scheduler, SAMPLE), solve(scheduler.solver, model, grid, SAMPLE).z)


@pytest.mark.parametrize("case", ["bdia", "edict", "cbdia 0, 1", "obelm"])
@pytest.mark.parametrize("told", [False, True])
def test_a_run_that_begins_late(case, told):
    """As image-to-image pipelines do, with or without set_begin_index."""
    scheduler, _ = made(case, **STABLE)
    scheduler.set_timesteps(8)
    times = scheduler.timesteps[3 * scheduler.order :]
    if told:
        scheduler.set_begin_index(3 * scheduler.order)
    z = SAMPLE
    for t in times:
        z = scheduler.step(model(z, t), t, z).prev_sample
    grid = grid_of(scheduler, 8)[:5]
    assert torch.equal(z, solve(scheduler.solver, model, grid, SAMPLE).z)
    assert scheduler.begin_index == 3 * scheduler.order and scheduler.step_index == len(scheduler.timesteps)


def test_the_state_is_forgotten_between_runs():
    scheduler = BDIAScheduler(**STABLE)
    scheduler.set_timesteps(8)
    first = loop(scheduler, SAMPLE)
    with pytest.raises(ValueError, match="all 8 steps are made: call set_timesteps"):
        scheduler.step(SAMPLE, 1, SAMPLE)
    for cut in (0, 3, 8):
        scheduler.set_timesteps(8)
        assert scheduler.step_index is None
        z = SAMPLE * 2
        for t in scheduler.timesteps[:cut]:
            z = scheduler.step(model(z, t), t, z).prev_sample
        assert scheduler.step_index == (cut or None)
    scheduler.set_timesteps(8)
    assert torch.equal(loop(scheduler, SAMPLE), first)


def test_a_state_holds_until_it_is_cleared():
    """A second decoding is the first one again, not another run from the latents alone."""
    sampler, inverse = made("bdia", **STABLE)
    inverse.set_timesteps(8)
    z = loop(inverse, SAMPLE)
    plain = BDIAScheduler(**STABLE)
    plain.set_timesteps(8)
    expected = loop(plain, z)
    sampler.start_from(inverse.state)
    for _ in range(2):
        sampler.set_timesteps(8)
        assert len(sampler.timesteps) == 8
        assert float(abs(loop(sampler, z) - SAMPLE).max()) < 300 * UNIT[torch.float64]
    sampler.set_timesteps(8)
    with pytest.raises(ValueError, match=r"from latents alone call start_from\(None\)"):
        sampler.step(SAMPLE, sampler.timesteps[0], SAMPLE)
    sampler.start_from(None)
    sampler.set_timesteps(8)
    assert len(sampler.timesteps) == 8 and torch.equal(loop(sampler, z), expected)


def test_what_is_handed_out_is_not_written_over():
    for case in CASES:
        scheduler, _ = made(case, **STABLE)
        scheduler.set_timesteps(6)
        kept, z = [], SAMPLE
        for t in scheduler.timesteps:
            z = scheduler.step(model(z, t), t, z).prev_sample
            kept.append((z, z.clone()))
        assert all(torch.equal(a, b) for a, b in kept) and z is not SAMPLE


def test_samples_that_a_pipeline_changes():
    """Blended latents, as in inpainting, take the register's place, whether they are new tensors or written in place."""

    def run(change):
        scheduler = BDIAScheduler(**STABLE)
        scheduler.set_timesteps(6)
        z = SAMPLE
        for k, t in enumerate(scheduler.timesteps):
            z = change(z) if k == 2 else z
            z = scheduler.step(model(z, t), t, z).prev_sample
        return z

    plain, new = run(lambda z: z), run(lambda z: z * 0.9)
    assert torch.equal(run(lambda z: z.clone()), plain)
    assert torch.equal(run(lambda z: z.mul_(0.9)), new) and float(abs(new - plain).max()) > 1e-2


def test_guidance_gets_the_register_twice():
    sampler, inverse = made("bdia", **STABLE)
    inverse.set_timesteps(8)
    z = loop(inverse, SAMPLE)
    sampler.start_from(inverse.state)
    sampler.set_timesteps(8)
    asked = sampler.scale_model_input(torch.cat([z, z]), sampler.timesteps[0])
    register = inverse.state.registers["z"]
    assert not torch.equal(register, z) and torch.equal(asked, torch.cat([register, register]))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))], ids=["copy", "pickle"])
def test_copies_begin_anew(duplicate):
    for scheduler in (EDICTScheduler(**STABLE), BDIAScheduler(gamma=0.0)):
        scheduler.set_timesteps(6)
        scheduler.step(SAMPLE, scheduler.timesteps[0], SAMPLE)
        other = duplicate(scheduler)
        assert other.config == scheduler.config and other.step_index is None
        other.set_timesteps(6)
        scheduler.set_timesteps(6)
        assert torch.equal(loop(other, SAMPLE), loop(scheduler, SAMPLE))


@pytest.mark.parametrize("case", CASES)
def test_save_and_load(case, tmp_path):
    for k, scheduler in enumerate(made(case, **STABLE)):
        scheduler.save_pretrained(tmp_path / str(k))
        again = type(scheduler).from_pretrained(tmp_path / str(k))
        assert again.solver == scheduler.solver and again.config.beta_end == 0.012


def test_the_data_prediction_is_previewed():
    scheduler = BDIAScheduler(prediction_type="sample", **STABLE)
    scheduler.set_timesteps(6)
    z = SAMPLE
    for t in scheduler.timesteps:
        output = model(z, t)
        found = scheduler.step(output, t, z)
        z = found.prev_sample
        assert torch.equal(found.pred_original_sample, output)


@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_the_data_prediction_is_not_computed_for_a_pipeline(gamma):
    scheduler = BDIAScheduler(gamma=gamma, clip_sample=False, **STABLE)
    scheduler.set_timesteps(6)
    t = scheduler.timesteps[0]
    assert scheduler.step(model(SAMPLE, t), t, SAMPLE, return_dict=False)[1] is None


ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


def test_alpha_0_at_the_noise_end():
    scheduler = BDIAScheduler(prediction_type="v_prediction", **ZERO_SNR)
    scheduler.set_timesteps(8)
    assert loop(scheduler, SAMPLE).isfinite().all()
    with pytest.raises(ValueError, match="alpha = 0"):
        BDIAScheduler(**ZERO_SNR).set_timesteps(8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BDIAScheduler(clip_sample=True), "clip_sample=True is not invertible, .* gamma = 0 .* pass clip_sample=False"),
        (lambda: EDICTScheduler(thresholding=True), "thresholding=True is not invertible"),
        (lambda: schedulers.BDIAInverseScheduler(gamma=0.0, clip_sample=True), "clip_sample=True is not invertible"),
        (lambda: BDIAScheduler(gamma=2.0), "gamma=2.0 lies outside"),
        (lambda: BDIAScheduler(prediction_type="epsilons"), "prediction_type='epsilons' is unknown"),
        (lambda: BDIAScheduler(walk="ddim"), "walk='ddim' ends steps"),
        (lambda: BDIAScheduler(walk="leap"), "walk='leap' is unknown: use one of None, grid, ddim"),
        (lambda: BDIAScheduler(state_dtype="int8"), "dtype='int8' is unknown: use one of float16"),
        (lambda: SolverScheduler(solver_spec="nothing"), "nothing"),
    ],
)  # fmt: skip
def test_bad_configurations(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: schedulers.BDIAInverseScheduler(gamma=0.0),
        lambda: schedulers.EDICTInverseScheduler(p=0.0),
        lambda: schedulers.CBDIAInverseScheduler(gamma1=0.5, gamma2=0.5),
        lambda: schedulers.SolverInverseScheduler(solver_spec="ddim"),
    ],
)
def test_what_has_no_inverse(make):
    with pytest.raises(NotInvertibleError, match="is not exactly invertible"):
        make().set_timesteps(8)


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, None, 1001])
def test_bad_numbers_of_steps(steps):
    with pytest.raises(ValueError, match="num_inference_steps"):
        BDIAScheduler().set_timesteps(steps)


@pytest.mark.parametrize("times", [[], [3, 3], [1, 2], [5, -1], [1000, 5]])
def test_bad_times(times):
    with pytest.raises(ValueError, match="timesteps"):
        BDIAScheduler().set_timesteps(timesteps=times)


def test_bad_steps():
    scheduler = EDICTScheduler(**STABLE)
    with pytest.raises(ValueError, match="call set_timesteps before the first step"):
        scheduler.step(SAMPLE, 1, SAMPLE)
    with pytest.raises(ValueError, match="state is known after whole slots"):
        _ = scheduler.state
    scheduler.set_timesteps(4)
    with pytest.raises(ValueError, match="timestep=2 is none of timesteps"):
        scheduler.step(SAMPLE, 2, SAMPLE)
    with pytest.raises(ValueError, match=r"eta=0\.5 adds noise"):
        scheduler.step(SAMPLE, 751, SAMPLE, eta=0.5)
    with pytest.raises(ValueError, match=r"model_output has shape \(1, 3, 4, 4\), sample \(2, 3, 4, 4\)"):
        scheduler.step(SAMPLE[:1], 751, SAMPLE)
    z = scheduler.step(SAMPLE, 751, SAMPLE).prev_sample
    with pytest.raises(ValueError, match="timestep=501 is out of order, 751 comes next"):
        scheduler.step(SAMPLE, 501, z)
    with pytest.raises(ValueError, match=r"sample has shape \(1, 3, 4, 4\), the run \(2, 3, 4, 4\)"):
        scheduler.step(SAMPLE[:1], 751, SAMPLE[:1])
    scheduler.step(SAMPLE, 751, z)  # what was refused has changed nothing
    # The last entry is within the last slot; one before it, within another slot, hands on the sample to the next.
    for entry, t in ((7, 1), (3, 501)):
        scheduler.set_timesteps(4)
        scheduler.set_begin_index(entry)
        if entry == 7:
            with pytest.raises(ValueError, match="timestep=1 begins no run"):
                scheduler.step(SAMPLE, t, SAMPLE)
        else:
            assert torch.equal(scheduler.step(SAMPLE, t, SAMPLE).prev_sample, SAMPLE) and scheduler.begin_index == 4


def test_bad_states():
    sampler, inverse = made("bdia", **STABLE)
    inverse.set_timesteps(8)
    z = loop(inverse, SAMPLE)
    with pytest.raises(TypeError, match="state is a Tensor"):
        sampler.start_from(z)
    sampler.start_from(inverse.state)
    with pytest.raises(ValueError, match="another grid"):
        sampler.set_timesteps(9)
    inverse.start_from(inverse.state)
    with pytest.raises(ValueError, match="stands at indices"):
        inverse.set_timesteps(8)
    sampler.set_timesteps(8)
    with pytest.raises(ValueError, match="sample is not a register of the state"):
        sampler.step(z, sampler.timesteps[0], z + 1)
    with pytest.raises(ValueError, match="pass its latents"):
        sampler.scale_model_input(z[:, :1], sampler.timesteps[0])
    assert float(abs(loop(sampler, z) - SAMPLE).max()) < 1e-12
