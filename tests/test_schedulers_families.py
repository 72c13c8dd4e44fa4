"""Every configuration: gamma = 0 is the first-order scheduler of its family, a round trip returns, and what is refused is named."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
diffusers = pytest.importorskip("diffusers", reason="needs the extra torch")

from bdia_numerics import ALF, configs  # noqa: E402
from bdia_numerics.analysis import lint  # noqa: E402
from bdia_numerics.configs.config import KINDS  # noqa: E402
from bdia_numerics.torch import schedulers  # noqa: E402
from bdia_numerics.torch.schedulers.configuration import unmade  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")  # of NumPy 2, in other schedulers
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


def test_inverted_sigmas():
    """Mochi's network is told 1 - sigma and predicts data less noise."""
    entries = {"_class_name": "FlowMatchEulerDiscreteScheduler", "invert_sigmas": True, "shift": 3.0}
    theirs = diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=True, shift=3.0)
    ours = schedulers.BDIAScheduler.from_config(entries, gamma=0.0)
    z = w = SAMPLE
    for scheduler in (theirs, ours):
        scheduler.set_timesteps(STEPS)
    torch.testing.assert_close(ours.timesteps, theirs.timesteps, rtol=1e-6, atol=1e-3)
    torch.testing.assert_close(ours.sigmas, theirs.sigmas, rtol=1e-6, atol=1e-6)
    for t in theirs.timesteps:
        w = theirs.step(network(w, t), t, w).prev_sample
    for t in ours.timesteps:
        z = ours.step(network(z, t), t, z).prev_sample
    assert relative(z, w) < RUN
    back, *_ = trip(("BDIAScheduler", "BDIAInverseScheduler"), entries, SAMPLE)
    assert torch.equal(back, SAMPLE)


def test_sigmas_and_fractional_times_of_ones_own():
    """As Euler's class takes them, with the level of the end or without."""
    entries = entries_of("sdxl.json")
    for passed in ({"sigmas": [14.0, 7.5, 3.0, 0.4, 0.0]}, {"timesteps": [900.5, 600.0, 250.25, 10.0]}):
        theirs, ours = first_order(entries), schedulers.BDIAScheduler.from_config(entries, gamma=0.0)
        for scheduler in (theirs, ours):
            scheduler.set_timesteps(**passed)
        torch.testing.assert_close(ours.timesteps.float(), theirs.timesteps.float(), rtol=1e-5, atol=1e-3)
        torch.testing.assert_close(ours.sigmas, theirs.sigmas.float(), rtol=1e-5, atol=1e-6)
    for rising in ([0.1, 0.5, 1.0], [3.0, 0.1, 0.5, 0.0]):  # two steps the other way round, and a turn
        with pytest.raises(ValueError, match=r"sigmas=\[.*\] rises: sort it, noise end first"):
            ours.set_timesteps(sigmas=rising)
    with pytest.raises(TypeError, match=r"sigmas=\[\[1, 2\]\] is not a list of numbers: pass one number for each step"):
        ours.set_timesteps(sigmas=[[1, 2]])
    with pytest.raises(ValueError, match="sigmas is not taken by DDIMScheduler"):
        schedulers.BDIAScheduler().set_timesteps(sigmas=[14.0, 0.0])
    with pytest.raises(ValueError, match="mu is missing"):
        schedulers.BDIAScheduler.from_config(entries_of("flux_dev.json")).set_timesteps(4)


def test_latents_that_are_scaled_twice_are_said():
    """From latents alone: an inverse hands them out in the size of the noise end, and a pipeline multiplies by that size."""
    entries = entries_of("sdxl.json")
    _, sampler, inverse = trip(("BDIAScheduler", "BDIAInverseScheduler"), entries, SAMPLE)
    latents = inverse.state.registers["z_prev"].float() * 14
    sampler.start_from(None)
    sampler.set_timesteps(**passed(entries))
    t = sampler.timesteps[0]
    with pytest.warns(UserWarning, match="first sample has the size .* divide them by it, or hand over the state"):
        sampler.step(SAMPLE, t, latents * sampler.init_noise_sigma)
    sampler.set_timesteps(**passed(entries))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler.step(SAMPLE, t, SAMPLE * sampler.init_noise_sigma)


def test_noise_is_added_as_the_family_does():
    """Before a run, where it begins, and in it, as inpainting does."""
    for name, steps in (("stable-diffusion-3-medium.json", 8), ("euler_karras.json", 8), ("playground-v2.5.json", 8)):
        entries = entries_of(name)
        theirs, ours = first_order(entries), schedulers.BDIAScheduler.from_config(entries, gamma=0.9)
        x, e = SAMPLE, torch.randn(SAMPLE.shape, generator=torch.manual_seed(5))
        for scheduler in (theirs, ours):
            scheduler.set_timesteps(steps)
            scheduler.set_begin_index(3)
        add = "scale_noise" if hasattr(theirs, "scale_noise") else "add_noise"
        order = (x, ours.timesteps[3:4], e) if add == "scale_noise" else (x, e, ours.timesteps[3:4])
        found = [getattr(scheduler, add)(*order) for scheduler in (ours, theirs)]
        torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


def test_noise_is_added_at_sigmas_of_ones_own():
    """At the top of a cosine table sigma/alpha of the time that is told for 3000 is another."""
    theirs = diffusers.EulerDiscreteScheduler(beta_schedule="squaredcos_cap_v2")
    ours = schedulers.BDIAScheduler.from_config(theirs.config, gamma=0.9)
    for scheduler in (theirs, ours):
        scheduler.set_timesteps(sigmas=[3000.0, 5.0, 0.0])
    noise = torch.randn(SAMPLE.shape, generator=torch.manual_seed(5))
    for k in range(2):
        found = [scheduler.add_noise(SAMPLE, noise, scheduler.timesteps[k : k + 1]) for scheduler in (ours, theirs)]
        torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


def test_the_class_of_an_object_is_recognized_whatever_options_are_passed():
    """The entries of EulerAncestralDiscreteScheduler are entries of DDIMScheduler, too, whose samples are others."""
    for kind in (diffusers.EulerAncestralDiscreteScheduler, diffusers.UniPCMultistepScheduler):
        for options in ({}, UNCLIPPED):
            ours = schedulers.BDIAScheduler.from_config(kind().config, **options)
            assert ours.config.counts_as == kind.__name__


def test_a_learned_variance_is_left_out():
    """The pipelines of DeepFloyd IF hand on the variance with the output."""
    entries = entries_of("deepfloyd_if.json")
    variance = torch.full_like(SAMPLE, 9.0)
    ends = []
    for more in ([], [variance]):
        ours = schedulers.BDIAScheduler.from_config(entries, gamma=0.9, **UNCLIPPED)
        ours.set_timesteps(4)
        z = SAMPLE
        for t in ours.timesteps:
            z = ours.step(torch.cat([network(z, t), *more], 1), t, z).prev_sample
        ends.append(z)
    assert torch.equal(*ends)
    plain = schedulers.BDIAScheduler.from_config(entries_of("sd15.json"), **UNCLIPPED)
    plain.set_timesteps(4)
    with pytest.raises(ValueError, match="model_output has shape"):
        plain.step(torch.cat([SAMPLE, variance], 1), plain.timesteps[0], SAMPLE)


@pytest.mark.parametrize("name", ["EulerDiscreteScheduler", "DPMSolverMultistepScheduler"])
def test_a_time_before_the_table(name):
    """61 trailing times of 1000 are 62 by rounding, and the last is -1, at the lowest level of the table."""
    entries = {"_class_name": name, "timestep_spacing": "trailing", "beta_schedule": "scaled_linear"}
    theirs = first_order(entries)
    ours = schedulers.BDIAScheduler.from_config(entries, gamma=0.0, **UNCLIPPED)
    for scheduler in (theirs, ours):
        scheduler.set_timesteps(61)
    assert ours.timesteps.tolist() == theirs.timesteps.tolist() and ours.timesteps[-1] == -1
    w = SAMPLE * theirs.init_noise_sigma
    for t in theirs.timesteps:
        output = network(w, t)
        found, before, w = ours.step(output, t, w).prev_sample, w, theirs.step(output, t, w).prev_sample
        assert relative(found, w, before) < STEP
    back, *_ = trip(("BDIAScheduler", "BDIAInverseScheduler"), entries, SAMPLE, 61)
    assert torch.equal(back, SAMPLE)


def test_latents_of_another_layout_return():
    """A network rounds otherwise in another layout, such as that in which an autoencoder gives two images."""
    x = torch.randn(2, 4, 8, 8, generator=torch.manual_seed(0)).to(memory_format=torch.channels_last)
    sampler, inverse = (
        getattr(schedulers, name).from_config(entries_of("sd15.json"))
        for name in ("BDIAScheduler", "BDIAInverseScheduler")
    )
    z = x
    for scheduler in (inverse, sampler):
        scheduler.set_timesteps(4)
        for t in scheduler.timesteps:
            given = scheduler.scale_model_input(z, t)
            output = network(given, t) * (1.000001 if given.is_contiguous() else 1)
            z = scheduler.step(output, t, z).prev_sample
        sampler.start_from(inverse.state)
    assert torch.equal(z, x)


def test_gamma_0_has_the_sigmas_of_its_class():
    # The table of the last one does not fall at its end, so that there is no grid.
    rescaled = {
        "_class_name": "DPMSolverMultistepScheduler",
        "rescale_betas_zero_snr": True,
        "final_sigmas_type": "sigma_min",
    }
    for entries in (entries_of("pixart_sigma.json"), entries_of("unipc.json"), rescaled):
        theirs, ours = first_order(entries), schedulers.BDIAScheduler.from_config(entries, gamma=0.0)
        with pytest.raises(AttributeError):
            ours.sigmas  # noqa: B018  before set_timesteps
        for scheduler in (theirs, ours):
            scheduler.set_timesteps(5)
        torch.testing.assert_close(ours.sigmas, theirs.sigmas.float(), rtol=1e-5, atol=1e-6)


def test_a_run_without_length_is_refused():
    """One step of EDM's levels ends at sigma_min, where it begins; one linspace time of a table is t = 0."""
    table = schedulers.BDIAScheduler(timestep_spacing="linspace", set_alpha_to_one=False)
    with pytest.raises(ValueError, match="num_inference_steps=1 tells t = 0 only, where the run ends: ask for more"):
        table.set_timesteps(1)
    ours = schedulers.BDIAScheduler.from_config({"_class_name": "EDMEulerScheduler", "final_sigmas_type": "sigma_min"})
    with pytest.raises(ValueError, match=r"num_inference_steps=1: the run of EDMEulerScheduler ends .*: ask for more"):
        ours.set_timesteps(1)


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
FAMILIES = ["sd15.json", "sdxl.json", "euler_karras.json", "flux_dev.json", "playground-v2.5.json"]
MORE = ["svd.json", "dpm_karras.json"]
STARTS_BELOW_1 = ("EDICT", "OBELM", "reversibleheun", "bdia2")
"""Solvers that divide by alpha of the first level, which is 0 in flow matching unless the first sigma is below 1."""


# Of some of them the growth on these few slots is said.
@pytest.mark.filterwarnings("ignore:.* on these 10 slots")
@pytest.mark.parametrize("file", [*FAMILIES, *(pytest.param(file, marks=pytest.mark.slow) for file in MORE)])
@pytest.mark.parametrize(("name", "own"), SOLVERS)
def test_every_solver_returns(name, own, file):
    entries, both = entries_of(file), (f"{name}Scheduler", f"{name}InverseScheduler")
    if file == "flux_dev.json" and (name in STARTS_BELOW_1 or own.get("solver_spec") in STARTS_BELOW_1):
        with pytest.raises(ValueError, match=r"alpha = 0|alpha_N != 0"):
            trip(both, entries, SAMPLE, 10, **own)
        return
    back, sampler, inverse = trip(both, entries, SAMPLE, 10, **own)
    assert torch.equal(back, SAMPLE) and len(sampler.timesteps) == len(inverse.timesteps)


@pytest.mark.parametrize("file", ["euler_karras.json", "playground-v2.5.json", *MORE])
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


def test_a_prediction_of_the_data_says_nothing_at_clean_data():
    """So an inverse begins at the lowest level, as the page says."""
    entries = entries_of("sdxl.json") | {"prediction_type": "sample"}
    with pytest.raises(ValueError, match="sigma = 0: x0 leaves the state open there"):
        trip(("BDIAScheduler", "BDIAInverseScheduler"), entries, SAMPLE)
    back, *_ = trip(("BDIAScheduler", "BDIAInverseScheduler"), entries, SAMPLE, final_sigmas_type="sigma_min")
    assert torch.equal(back, SAMPLE)


FAMILY_ROWS = {  # by rule of the walk, or that of its levels: the row's name, the first-order scheduler, the sample, the file that is run
    "table": ("noise levels of a table", "DDIMScheduler", "$z$", "sd15.json"),
    "points": ("$\\sigma/\\alpha$ over a table", "EulerDiscreteScheduler", "$z/\\alpha$", "sdxl.json"),
    "kind": (
        "Karras, exponential and beta sigmas, log-SNR",
        "that of the class",
        "that of the class",
        "euler_karras.json",
    ),
    "flow": ("flow matching", "FlowMatchEulerDiscreteScheduler", "$z$", "flux_dev.json"),
    "edm": ("EDM's preconditioning", "EDMEulerScheduler", "$z$, with $\\alpha=1$", "playground-v2.5.json"),
}
WORDS = {
    "OBELM": "O-BELM",
    "mccallumfoster:coupling=99/100": "McCallum-Foster",
    "reversibleheun": "reversible Heun",
    "bdia2": "BDIA2",
}
PAGE = Path(__file__).resolve().parent.parent / "docs" / "diffusers.md"


LOWEST = 'Let the run end at the lowest level, by `set_alpha_to_one=False` or `final_sigmas_type="sigma_min"`.'


def table_of_families():
    """Return the lines of the page's table: from the classes that are read, the files and solvers that run here, and what is refused."""
    read = {name: configs.SchedulerConfig(name, f.defaults, frozenset()) for name, f in configs.FAMILIES.items()}
    made = {name: own for name, own in read.items() if not unmade(own) and name != "ldm"}
    names = {
        "table": [n for n, own in made.items() if own.rule not in ("points", "flow", "edm")],
        "kind": [n for n, own in made.items() if own.rule != "flow" and own.values.keys() & KINDS.keys()],
        "flow": [n for n, own in made.items() if own.rule == "flow" or "use_flow_sigmas" in own.values],
        **{rule: [n for n, own in made.items() if own.rule == rule] for rule in ("points", "edm")},
    }
    names["edm"].append("EulerDiscreteScheduler with continuous times and v")
    spoken = [WORDS.get(own.get("solver_spec", name), name) for name, own in SOLVERS]
    below = [
        w for w, (name, own) in zip(spoken, SOLVERS, strict=True) if {name, own.get("solver_spec")} & {*STARTS_BELOW_1}
    ]
    lines = [
        f"Every family runs {', '.join(spoken[:-1])} and {spoken[-1]}, with three exceptions:",
        "",
        "- If the network predicts the noise, a first level with $\\alpha=0$ is refused: its output says nothing of the data there.",
        "- If the network predicts the data, an inverse that begins at clean data is refused: its output says nothing of the noise there. "
        + LOWEST,
        f"- For flow matching whose first sigma is 1, {', '.join(below[:-1])} and {below[-1]} are refused: they divide by $\\alpha=0$.",
        "",
        "| family | classes | `gamma=0` is | sample |",
        "|---|---|---|---|",
    ]
    for rule, (family, first, sample, _) in FAMILY_ROWS.items():
        classes = ", ".join(n.removesuffix("Scheduler").replace("Scheduler ", " ") for n in names[rule])
        lines.append(f"| {family} | {classes} | {first.removesuffix('Scheduler')} | {sample} |")
    lines += ["", "| class | why it is not run |", "|---|---|"]
    for name, own in read.items():
        if why := unmade(own):
            lines.append(f"| {name.removesuffix('Scheduler')} | {why} |")
    return lines


def test_the_table_of_the_page_is_that_of_these_tests():
    page = PAGE.read_text(encoding="utf-8")
    assert "\n".join(table_of_families()) in page and all(name in page for name in (*REFUSED, OPEN))
    assert [row[3] for row in FAMILY_ROWS.values()] == FAMILIES  # which test_every_solver_returns runs


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("EDMEulerScheduler", {"prediction_type": "sample"}),
        ("EDMDPMSolverMultistepScheduler", {"prediction_type": "flow_prediction"}),
        ("EulerDiscreteScheduler", {"prediction_type": "flow_prediction", "use_karras_sigmas": True}),
        ("DPMSolverMultistepScheduler", {"prediction_type": "flow_prediction", "use_exponential_sigmas": True}),
        ("DPMSolverMultistepScheduler", {"prediction_type": "v_prediction", "use_flow_sigmas": True}),
    ],
)
def test_a_prediction_that_the_class_does_not_take_on_its_levels(name, entries):
    """diffusers stops in the first step, or computes what is no prediction of the data (v on levels of flow matching)."""
    with pytest.raises(ValueError, match=f"prediction_type='{entries['prediction_type']}' is unknown: use "):
        schedulers.BDIAScheduler.from_config({"_class_name": name, **entries})
    read = configs.from_mapping({"_class_name": name, **entries})
    assert [f.severity for f in lint(read, steps=8, solver=ALF()) if f.rule == "prediction-type"] == ["error"]
