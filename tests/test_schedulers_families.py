"""Every configuration: gamma = 0 is the first-order scheduler of its family, a round trip returns, and what is refused is named."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
diffusers = pytest.importorskip("diffusers", reason="needs the extra torch")

from bdia_numerics import configs  # noqa: E402
from bdia_numerics.torch import schedulers  # noqa: E402

torch.set_num_threads(1)
CONFIGS = Path(__file__).parent / "configs"
SAMPLE = torch.randn(1, 4, 4, 4, generator=torch.manual_seed(0))
STEPS = 20
STEP, RUN = 2e-6, 1e-5
"""Relative differences in float32: of one step on the same input, and of a whole run."""
REFUSED = {
    "consistency.json": "_class_name='CMStochasticIterativeScheduler' .*consistency model",
    "dpm_inverse.json": "_class_name='DPMSolverMultistepInverseScheduler' .*its sampler's configuration is read",
    "lcm.json": "original_inference_steps=50 .*distilled model",
    "stable_cascade.json": "_class_name='DDPMWuerstchenScheduler' .*a cosine of a continuous time, and no table",
}
"""The configurations that are not run, and why."""
OPEN = "sd15_ddim_zsnr_eps.json"
"""Its first level has alpha = 0, of which a prediction of the noise leaves the data open: refused when a run begins there."""
RUNS = sorted(path.name for path in CONFIGS.glob("*.json") if path.name not in {*REFUSED, OPEN})
UNCLIPPED = {"clip_sample": False, "thresholding": False}


def entries_of(name):
    return json.loads((CONFIGS / name).read_text(encoding="utf-8"))


def passed(entries, n=STEPS):
    return {"num_inference_steps": n} | ({"mu": 0.8} if entries.get("use_dynamic_shifting") else {})


def network(z, t):
    """Stand in for a network: smooth and bounded, and it knows the time."""
    return torch.tanh(z) * 0.5 + 0.1 * torch.cos(torch.as_tensor(float(t)) / 300) * z


def first_order(entries):
    """Return the first-order scheduler of diffusers with the levels of a configuration."""
    read = configs.from_mapping(entries)
    own = {key: value for key, value in read.values.items() if value is not None}
    if read.rule == "points":
        kind, own = "EulerDiscreteScheduler", own | {"prediction_type": read["prediction_type"]}
    elif read.rule in ("intervals", "edm"):
        kind, own = read.name, own | {"solver_order": 1, "disable_corrector": [*range(STEPS)]}
    elif read.rule == "flow" or read["snr_shift_scale"]:
        kind = read.name
    else:  # the steps of DDIM on its table
        table = configs.alphas_cumprod(read, np.float32).astype(np.float64)
        betas = 1 - table / np.concatenate([[1.0], table[:-1]])
        own |= {"set_alpha_to_one": read.ends_clean, "rescale_betas_zero_snr": False, "trained_betas": betas.tolist()}
        kind = "DDIMScheduler"
    own |= UNCLIPPED
    known = configs.FAMILIES[kind].defaults
    return getattr(diffusers, kind)(**{key: value for key, value in own.items() if key in known})


def relative(x, y, *sizes):
    return float((x - y).abs().max()) / max(float(size.abs().max()) for size in (y, *sizes))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of NumPy 2, in other schedulers
@pytest.mark.parametrize("name", RUNS)
def test_gamma_0_is_the_first_order_scheduler(name):
    entries = entries_of(name)
    theirs = first_order(entries)
    ours, fed = (schedulers.BDIAScheduler.from_config(entries, gamma=0.0, **UNCLIPPED) for _ in range(2))
    for scheduler in (theirs, ours, fed):
        scheduler.set_timesteps(**passed(entries))
    if hasattr(theirs, "set_begin_index"):
        theirs.set_begin_index(0)  # or it would begin at the second of equal times
    w = SAMPLE * getattr(theirs, "init_noise_sigma", 1.0)
    z = SAMPLE * ours.init_noise_sigma
    assert relative(z, w) < STEP
    for t, told in zip(theirs.timesteps, ours.timesteps, strict=False):
        assert float(t) == pytest.approx(float(told), rel=1e-6, abs=1e-6)
        given = theirs.scale_model_input(w, t) if hasattr(theirs, "scale_model_input") else w
        assert relative(fed.scale_model_input(w, told), given) < STEP
        output = network(given, t)
        found = fed.step(output, told, w).prev_sample
        z = ours.step(network(ours.scale_model_input(z, told), told), told, z, return_dict=False)[0]
        before, w = w, theirs.step(output, t, w).prev_sample
        assert relative(found, w, before) < STEP
    assert relative(z, w) < RUN


def halves(scheduler, dtype):
    """Run a scheduler of diffusers, or ours, on samples of a dtype."""
    z = (SAMPLE * getattr(scheduler, "init_noise_sigma", 1.0)).to(dtype)
    for t in scheduler.timesteps:
        given = scheduler.scale_model_input(z, t) if hasattr(scheduler, "scale_model_input") else z
        z = scheduler.step(network(given.double(), t).to(dtype), t, z, return_dict=False)[0]
    return z.double()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["stable-diffusion-3-medium.json", "sdxl.json", "playground-v2.5.json", "sd15.json"])
def test_in_half_precision_gamma_0_is_no_farther_from_the_truth(name, dtype):
    entries = entries_of(name)
    ends = []
    for make, kind in ((first_order, dtype), (None, dtype), (None, torch.float64)):
        scheduler = make(entries) if make else schedulers.BDIAScheduler.from_config(entries, gamma=0.0, **UNCLIPPED)
        scheduler.set_timesteps(**passed(entries))
        ends.append(halves(scheduler, kind))
    theirs, ours, truth = ends
    assert float((ours - truth).square().mean()) <= float((theirs - truth).square().mean())


def trip(names, entries, x, steps=STEPS, **own):
    """Take x to noise and back from the State; return what comes back, and both schedulers."""
    sampler, inverse = (getattr(schedulers, name).from_config(entries, **UNCLIPPED, **own) for name in names)

    def run(scheduler, z):
        scheduler.set_timesteps(**passed(entries, steps))
        for t in scheduler.timesteps:
            z = scheduler.step(network(scheduler.scale_model_input(z, t), t), t, z, return_dict=False)[0]
        return z

    z = run(inverse, x)
    assert z.isfinite().all()
    sampler.start_from(inverse.state)
    return run(sampler, z), sampler, inverse


@pytest.mark.parametrize("name", [*RUNS, OPEN])
def test_a_round_trip_returns(name):
    """Every element, and with the same entries both ways, backwards."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back, sampler, inverse = trip(("BDIAScheduler", "BDIAInverseScheduler"), entries_of(name), SAMPLE)
    assert torch.equal(back, SAMPLE)
    assert sampler.timesteps.tolist() == inverse.timesteps.tolist()[::-1]


SOLVERS = [
    ("BDIA", {"gamma": 0.9}),
    ("EDICT", {}),
    ("CBDIA", {}),
    ("OBELM", {}),
    ("Solver", {"solver_spec": "mccallumfoster:coupling=99/100"}),
    ("Solver", {"solver_spec": "reversibleheun"}),
    ("Solver", {"solver_spec": "bdia2"}),
]
FAMILIES = ["flux_dev.json", "playground-v2.5.json", "svd.json", "euler_karras.json", "dpm_karras.json"]
STARTS_BELOW_1 = ("EDICT", "OBELM", "reversibleheun", "bdia2")
"""Solvers that divide by alpha of the first level, which is 0 in flow matching unless the first sigma is below 1."""


# Of some of them the growth on these few slots is said.
@pytest.mark.filterwarnings("ignore:.* on these 10 slots")
@pytest.mark.parametrize("file", FAMILIES)
@pytest.mark.parametrize(("name", "own"), SOLVERS)
def test_every_solver_returns(name, own, file):
    entries, both = entries_of(file), (f"{name}Scheduler", f"{name}InverseScheduler")
    if file == "flux_dev.json" and (name in STARTS_BELOW_1 or own.get("solver_spec") in STARTS_BELOW_1):
        with pytest.raises(ValueError, match=r"alpha = 0|alpha_N != 0"):
            trip(both, entries, SAMPLE, 10, **own)
        return
    back, sampler, inverse = trip(both, entries, SAMPLE, 10, **own)
    assert torch.equal(back, SAMPLE) and len(sampler.timesteps) == len(inverse.timesteps)


@pytest.mark.parametrize("file", FAMILIES[1:])
def test_stages_between_the_levels(file):
    """Heun's method and one of order 4 take stages there; on forty slots Heun's is nearer to the latter than DDIM is."""
    entries, ends = entries_of(file), {}
    for spec, order in (("rk4", 4), ("heun", 2), ("ddim", 1)):
        scheduler = schedulers.SolverScheduler.from_config(entries, solver_spec=spec, **UNCLIPPED)
        scheduler.set_timesteps(**passed(entries, 40))
        z = SAMPLE.double() * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            z = scheduler.step(network(scheduler.scale_model_input(z, t), t), t, z, return_dict=False)[0]
        ends[spec] = z
        assert scheduler.order == order
    heun, ddim = (float((ends[spec] - ends["rk4"]).square().mean()) for spec in ("heun", "ddim"))
    assert heun < ddim / 4


@pytest.mark.parametrize(("name", "says"), REFUSED.items())
def test_what_is_refused_is_named_with_its_reason(name, says):
    with pytest.raises(ValueError, match=says) as said:
        schedulers.BDIAScheduler.from_config(entries_of(name))
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_a_level_of_which_a_prediction_says_nothing(gamma):
    scheduler = schedulers.BDIAScheduler.from_config(entries_of(OPEN), gamma=gamma, **UNCLIPPED)
    with pytest.raises(ValueError, match="alpha = 0: eps leaves the state open there"):
        scheduler.set_timesteps(STEPS) or scheduler.step(SAMPLE, scheduler.timesteps[0], SAMPLE)
