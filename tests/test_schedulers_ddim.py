"""gamma = 0 is DDIMScheduler, to rounding: spacings, offsets, predictions, betas, ends, clipping, eta, any order of steps, save and load.

The checks of diffusers' own test suite of DDIMScheduler are here in other words: what they compare with stored numbers is compared
with a DDIMScheduler that runs beside, and the sums of its full loops with those numbers, too.
"""

import inspect
import itertools
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
diffusers = pytest.importorskip("diffusers", reason="needs the extra torch")

from diffusers import DDIMScheduler, EulerDiscreteScheduler, PNDMScheduler  # noqa: E402
from diffusers.schedulers import scheduling_ddim  # noqa: E402
from double_torch import Double  # noqa: E402

from bdia_numerics import DDIM, State, grids, schedules, solve  # noqa: E402
from bdia_numerics.torch.schedulers import BDIAScheduler, SolverScheduler  # noqa: E402

torch.set_num_threads(1)
SAMPLE = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
UNIT = {t: torch.finfo(t).eps for t in (torch.float64, torch.float32)}
# A step is a dozen operations in either, and 7 to 10 steps follow one another; the roundings are those of the largest value met.
MULTIPLE = 300


@pytest.fixture
def double(monkeypatch):
    monkeypatch.setattr(scheduling_ddim, "torch", Double())


def model(z, t):
    """A network's stand-in: bounded, as a trained one's output is, and it knows the time."""
    return torch.tanh(z) * (1 + float(t) / 1000) / 2


def pair(**config):
    ours, theirs = BDIAScheduler(gamma=0.0, **config), DDIMScheduler(**config)
    if theirs.alphas_cumprod.dtype == torch.float64:  # a configuration's table is in float32
        ours.alphas_cumprod, ours.final_alpha_cumprod = theirs.alphas_cumprod, theirs.final_alpha_cumprod
    return ours, theirs


def compared(ours, theirs, sample=SAMPLE, steps=7, start=0, **options):
    """Run both; check that they agree all the way, and return the end."""
    for s in (ours, theirs):
        s.set_timesteps(steps)
    assert torch.equal(ours.timesteps, theirs.timesteps) and ours.timesteps.dtype == theirs.timesteps.dtype
    z = w = sample
    size = float(abs(sample).max())
    for t in theirs.timesteps[start:]:
        a, b = (
            s.step(model(x, t), t, x, generator=torch.Generator().manual_seed(1), **options)
            for s, x in ((ours, z), (theirs, w))
        )
        z, w = a.prev_sample, b.prev_sample
        size = max(size, *(float(abs(x).max()) for x in (w, b.pred_original_sample)))
        for x, y in ((z, w), (a.pred_original_sample, b.pred_original_sample)):
            assert x.dtype == sample.dtype
            assert float(abs(x - y).max()) <= MULTIPLE * UNIT[sample.dtype] * size
    return z


TIMES = [("leading", 0), ("leading", 1), ("linspace", 0), ("trailing", 0)]
KINDS = ("epsilon", "v_prediction", "sample")
BETAS = ("linear", "scaled_linear", "squaredcos_cap_v2")


@pytest.mark.parametrize(("kind", "betas"), list(itertools.product(KINDS, BETAS)))
@pytest.mark.usefixtures("double")
def test_gamma_0_is_ddim(kind, betas):
    """Thirty steps do not divide 1000: DDIMScheduler's steps then end at t - 33, and so do these."""
    for (spacing, offset), one, clip in itertools.product(TIMES, (True, False), (True, False)):
        steps = 7 if one == clip else 10  # each with either of both
        config = {"timestep_spacing": spacing, "steps_offset": offset, "prediction_type": kind, "beta_schedule": betas}
        ours, theirs = pair(**config, set_alpha_to_one=one, clip_sample=clip)
        compared(ours, theirs, steps=steps)


@pytest.mark.parametrize("steps", [30, 61, 103])
@pytest.mark.parametrize("spacing", ["linspace", "trailing"])
@pytest.mark.usefixtures("double")
def test_numbers_of_steps_that_do_not_divide(spacing, steps):
    """Trailing spacing makes one time too many for 61 and 103 steps, t = -1, at which the last entry of the table is read."""
    compared(*pair(timestep_spacing=spacing, beta_schedule="scaled_linear", clip_sample=False), steps=steps)


@pytest.mark.parametrize("kind", KINDS)
def test_gamma_0_is_ddim_in_float32(kind):
    compared(*pair(prediction_type=kind, beta_schedule="scaled_linear"), sample=SAMPLE.float(), steps=10)


@pytest.mark.parametrize(
    "config",
    [
        {"thresholding": True, "sample_max_value": 2.0},
        {"thresholding": True, "prediction_type": "v_prediction"},
        {"clip_sample_range": 0.5},
        {"trained_betas": torch.linspace(1e-4, 0.02, 1000).tolist()},
        {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"},
        {"num_train_timesteps": 50, "beta_end": 0.2},
        {},
    ],
    ids=str,
)
@pytest.mark.parametrize("options", [{}, {"use_clipped_model_output": True}, {"eta": 0.5}, {"eta": 1.0}], ids=str)
@pytest.mark.usefixtures("double")
def test_clipping_thresholding_noise_and_tables(config, options):
    compared(*pair(**config), steps=10, **options)


@pytest.mark.usefixtures("double")
def test_noise_that_is_given():
    ours, theirs = pair()
    for s in (ours, theirs):
        s.set_timesteps(10)
    noise = torch.ones_like(SAMPLE)
    a, b = (s.step(model(SAMPLE, 500), 500, SAMPLE, eta=0.5, variance_noise=noise) for s in (ours, theirs))
    assert torch.allclose(a.prev_sample, b.prev_sample, rtol=0, atol=MULTIPLE * UNIT[torch.float64])
    with pytest.raises(ValueError, match="generator and variance_noise are both given"):
        ours.step(SAMPLE, 500, SAMPLE, eta=0.5, variance_noise=noise, generator=torch.Generator())


@pytest.mark.parametrize("t", [0, 1, 10, 49, 999])
@pytest.mark.parametrize("steps", [10, 50, 500])
@pytest.mark.usefixtures("double")
def test_steps_from_any_time_in_any_order(t, steps):
    ours, theirs = pair()
    for s in (ours, theirs):
        s.set_timesteps(steps)
    output = SAMPLE / 10
    for time in (t, torch.tensor(t), 999 - t):
        a, b = (s.step(output, time, SAMPLE).prev_sample for s in (ours, theirs))
        assert a.shape == SAMPLE.shape
        # 1/alpha is 160 at the last time.
        assert torch.allclose(a, b, rtol=0, atol=MULTIPLE * UNIT[torch.float64] * 160)


def test_a_loop_that_starts_late_on_noised_data():
    ours, theirs = pair()
    times = torch.tensor([700])
    noised = [s.add_noise(SAMPLE.float() / 2, torch.ones_like(SAMPLE.float()), times) for s in (ours, theirs)]
    assert torch.equal(*noised)
    compared(ours, theirs, sample=noised[0], steps=10, start=3)


def test_times_and_length():
    ours = BDIAScheduler(gamma=0.0, steps_offset=1)
    ours.set_timesteps(5)
    assert torch.equal(ours.timesteps, torch.tensor([801, 601, 401, 201, 1]))
    for steps in (1, 5, 100, 500):
        ours.set_timesteps(steps)
        assert len(ours.timesteps) == steps == ours.num_inference_steps
    with pytest.raises(ValueError, match="t=1000 is outside the table of 1000 training steps"):
        ours.set_timesteps(1000)
    assert len(ours) == 1000 and ours.order == 1 and ours.init_noise_sigma == 1.0


def test_betas_that_are_no_betas():
    """The public suite makes betas up to 2, which are refused, and steps from t = 0, which needs no other entry of the table."""
    with pytest.raises(ValueError, match=r"beta_end=2 is not in \(0, 1\)"):
        BDIAScheduler(gamma=0.0, beta_end=2)
    for first, last in ((0.0001, 0.002), (0.001, 0.02), (0.01, 0.2)):
        ours, theirs = pair(beta_start=first, beta_end=last)
        for s in (ours, theirs):
            s.set_timesteps(50)
        a, b = (s.step(0.1 * SAMPLE.float(), 0, SAMPLE.float()).prev_sample for s in (ours, theirs))
        assert torch.allclose(a, b, rtol=0, atol=1e-6)


def test_tuples_and_objects():
    ours, _ = pair()
    ours.set_timesteps(10)
    a = ours.step(SAMPLE, 900, SAMPLE)
    b = ours.step(SAMPLE, 900, SAMPLE, return_dict=False)
    assert isinstance(b, tuple) and torch.equal(a.prev_sample, b[0]) and torch.equal(a.pred_original_sample, b[1])
    assert a[0] is a.prev_sample


def test_on_the_grid_every_step_ends_where_the_next_begins():
    """walk="grid": what BDIA takes for every other gamma; DDIM as `solve` runs it on those times."""
    config = {"timestep_spacing": "linspace", "clip_sample": False}
    ours = BDIAScheduler(gamma=0.0, walk="grid", **config)
    ours.set_timesteps(30)
    z = SAMPLE
    for t in ours.timesteps:
        z = ours.step(model(z, t), t, z).prev_sample
    schedule = schedules.from_alphas_cumprod(ours.alphas_cumprod.double().numpy())
    expected = solve(DDIM(), model, grids.linspace(schedule, 30), SAMPLE)
    assert torch.allclose(z, expected.z, rtol=0, atol=1e-12)
    theirs = DDIMScheduler(**config)
    theirs.set_timesteps(30)
    w = SAMPLE
    for t in theirs.timesteps:
        w = theirs.step(model(w, t), t, w).prev_sample
    assert float(abs(w - z).max()) > 1e-4


def test_save_and_load(tmp_path):
    ours = BDIAScheduler(gamma=0.0, beta_schedule="scaled_linear", steps_offset=1, clip_sample=False)
    ours.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "scheduler_config.json").read_text(encoding="utf-8"))
    assert written["_class_name"] == "BDIAScheduler" and written["gamma"] == 0.0
    for again in (BDIAScheduler.from_pretrained(tmp_path), BDIAScheduler.from_config(ours.config)):
        for key in ours.config.keys() - {"_use_default_values"}:
            assert again.config[key] == ours.config[key]
        assert again.solver == ours.solver
        theirs = DDIMScheduler(beta_schedule="scaled_linear", steps_offset=1, clip_sample=False)
        compared(again, theirs, sample=SAMPLE.float(), steps=10)
    ours.save_config(tmp_path / "other")
    assert BDIAScheduler.load_config(tmp_path / "other")["steps_offset"] == 1


def test_configurations_of_other_schedulers():
    """What a class only has by default is left to this one, as diffusers does it: clip_sample is then None."""
    theirs = DDIMScheduler(beta_schedule="scaled_linear")
    ours = BDIAScheduler.from_config(theirs.config, gamma=0.0)
    compared(ours, theirs, sample=SAMPLE.float(), steps=10)
    back = DDIMScheduler.from_config(BDIAScheduler.from_config(theirs.config, gamma=0.9).config)
    assert BDIAScheduler.from_config(back.config).config.gamma == 0.9
    stable = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    for other in (PNDMScheduler(**stable, steps_offset=1), EulerDiscreteScheduler(**stable)):
        found = BDIAScheduler.from_config(other.config)
        assert found.config.beta_end == 0.012 and found.solver.gamma == 1
    assert DDIMScheduler in ours.compatibles


def test_any_solver_named_ddim_is_ddim():
    compared(SolverScheduler(solver_spec="ddim"), DDIMScheduler(), sample=SAMPLE.float(), steps=10)


def test_no_training_step():
    ours, _ = pair()
    with pytest.raises(ValueError, match="call set_timesteps"):
        ours.step(SAMPLE, 0, SAMPLE)
    ours.set_timesteps(10)
    with pytest.raises(ValueError, match="timestep=1000 is not a training step"):
        ours.step(SAMPLE, 1000, SAMPLE)
    with pytest.raises(ValueError, match="gamma = 0 is DDIM, which starts from latents alone"):
        ours.start_from(State("BDIA", "a grid", {"z": SAMPLE}, {"z": 0}))


PUBLIC = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "clip_sample": True,
}
"""The configuration of diffusers' own suite."""
NUMBERS = torch.arange(4 * 3 * 8 * 8).reshape(3, 8, 8, 4) / (4 * 3 * 8 * 8)


@pytest.mark.parametrize(
    ("config", "start", "total"),
    [
        ({}, 0, 172.0067),
        ({"prediction_type": "v_prediction"}, 0, 52.5302),
        ({"set_alpha_to_one": True, "beta_start": 0.01}, 0, 149.8295),
        ({"set_alpha_to_one": False, "beta_start": 0.01}, 0, 149.0784),
        ({}, 8, 354.5418),
    ],
)
def test_the_numbers_that_diffusers_has_stored(config, start, total):
    """Sums of absolute values after ten steps on its stand-in of a model, z t/(t + 1); the last case begins at entry 8 with noised data."""
    ours = BDIAScheduler(**PUBLIC | config, gamma=0.0)
    ours.set_timesteps(10)
    z = NUMBERS.permute(3, 0, 1, 2)
    if start:
        z = ours.add_noise(z, NUMBERS.flip(-1).permute(3, 0, 1, 2), ours.timesteps[start:][:1])
    for t in ours.timesteps[start:]:
        z = ours.step(z * t / (t + 1), t, z, 0.0).prev_sample
    assert abs(float(z.abs().sum()) - total) < 1e-2


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of NumPy 2, in other schedulers
def test_configurations_pass_through_every_compatible_scheduler(tmp_path):
    """What is said goes along; what is not becomes that of the class in between, whose walk the configuration then has."""
    said = PUBLIC | {
        "timestep_spacing": "leading",
        "steps_offset": 1,
        "set_alpha_to_one": True,
        "prediction_type": "epsilon",
    }
    ours = BDIAScheduler(**said, gamma=0.0)
    assert all(ours.compatibles)
    present = [
        kind for kind in ours.compatibles if not hasattr(kind, "_backends")
    ]  # the others need a library that is not here
    assert len(present) > 10
    for kind in present:
        other = kind.from_config(ours.config)
        if kind.__name__ == "DPMSolverSDEScheduler":
            with pytest.raises(ValueError, match=f"_class_name='{kind.__name__}' is not run by these schedulers"):
                BDIAScheduler.from_config(other.config, _class_name=kind.__name__)
            continue
        # Clipping is for steps on a table's times alone.
        unclipped = {"clip_sample": False} if kind.__name__ == "HeunDiscreteScheduler" else {}
        again = BDIAScheduler.from_config(other.config, _class_name=kind.__name__, **unclipped)
        if kind.__name__ == "EDMEulerScheduler":
            assert again.config.counts_as == kind.__name__ and again.config.sigma_max == 80
            continue
        clean = kind.__name__ != "DEISMultistepScheduler"  # which ends at the lowest level of its table
        expected = said | {"gamma": 0.0, "set_alpha_to_one": clean}
        # Other classes do not clip, whatever the entry says.
        expected["clip_sample"] = "clip_sample" in inspect.signature(kind.__init__).parameters and not unclipped
        if kind.__name__ == "DPMSolverSinglestepScheduler":
            expected["timestep_spacing"] = "linspace"  # its only one
        assert {key: again.config[key] for key in expected} == expected and again.solver == ours.solver, kind
    ours.save_pretrained(tmp_path)
    assert BDIAScheduler.from_pretrained(tmp_path).config == {
        k: v for k, v in ours.config.items() if k != "_use_default_values"
    }


def test_attributes_and_tables(tmp_path):
    ours = BDIAScheduler(**PUBLIC | {"num_train_timesteps": 2}, gamma=0.0, trained_betas=np.array([0.1, 0.3]))
    ours.save_pretrained(tmp_path)
    assert ours.betas.tolist() == BDIAScheduler.from_pretrained(tmp_path).betas.tolist()
    ours.own = 5
    ours.register_to_config(noted=5)
    with pytest.warns(FutureWarning):
        assert ours.own == ours.noted == 5
    with pytest.raises(AttributeError, match="'BDIAScheduler' object has no attribute 'nothing'"):
        _ = ours.nothing
    assert not BDIAScheduler._deprecated_kwargs and "kwargs" not in inspect.signature(BDIAScheduler.__init__).parameters
