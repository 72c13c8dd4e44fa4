"""Configurations of other schedulers in ours: read as their own classes read them, or refused in one line."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra torch")
diffusers = pytest.importorskip("diffusers", reason="needs the extra torch")

from bdia_numerics import configs  # noqa: E402
from bdia_numerics.configs.families import OURS  # noqa: E402
from bdia_numerics.torch import schedulers  # noqa: E402
from bdia_numerics.torch.schedulers import (  # noqa: E402
    BDIAInverseScheduler,
    BDIAScheduler,
    EDICTScheduler,
    SolverScheduler,
)
from bdia_numerics.torch.schedulers.configuration import SHARED  # noqa: E402
from bdia_numerics.torch.scheduling import make_grid, schedule_of  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")
CONFIGS = Path(__file__).parent / "configs"
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
TRAILING = {"timestep_spacing": "trailing"}
LEADING = {"timestep_spacing": "leading", "steps_offset": 1}

SAME = [  # class and entries whose walk is a grid of whole training steps, counted alike by DDIMScheduler
    ("DDIMParallelScheduler", {"set_alpha_to_one": False, "steps_offset": 1}),
    ("PNDMScheduler", {"steps_offset": 1, **SD}),
    ("PNDMScheduler", {"skip_prk_steps": True, "steps_offset": 1, "set_alpha_to_one": True}),
    ("DDPMScheduler", {"beta_schedule": "squaredcos_cap_v2"}),
    ("DDPMScheduler", {"clip_sample": False, **TRAILING}),
    ("EulerDiscreteScheduler", LEADING | SD),
    ("EulerDiscreteScheduler", TRAILING | {"final_sigmas_type": "sigma_min"}),
    ("EulerAncestralDiscreteScheduler", TRAILING),
    ("HeunDiscreteScheduler", LEADING),  # betas of its own by default
    ("HeunDiscreteScheduler", TRAILING | {"beta_schedule": "squaredcos_cap_v2"}),
    ("KDPM2DiscreteScheduler", TRAILING),
    ("LMSDiscreteScheduler", LEADING),
    ("DPMSolverMultistepScheduler", TRAILING | SD),
    ("DPMSolverMultistepScheduler", TRAILING | {"final_sigmas_type": "sigma_min"}),
    ("DEISMultistepScheduler", TRAILING),
    ("UniPCMultistepScheduler", TRAILING | {"final_sigmas_type": "sigma_min"}),
    ("CogVideoXDDIMScheduler", {"snr_shift_scale": 1.0, "steps_offset": 1}),
]


COUNTED = [  # classes whose walk solves the ODE, or that have its levels, with what they take
    ("DDIMScheduler", {}),
    ("PNDMScheduler", {"set_alpha_to_one": True}),
    ("DPMSolverMultistepScheduler", {}),
    ("DPMSolverMultistepScheduler", {"final_sigmas_type": "sigma_min"}),
    ("DPMSolverSinglestepScheduler", {}),
    ("UniPCMultistepScheduler", {"rescale_betas_zero_snr": True}),
    ("DEISMultistepScheduler", {}),
    ("EulerDiscreteScheduler", {}),
    ("EulerDiscreteScheduler", {"rescale_betas_zero_snr": True, "final_sigmas_type": "sigma_min"}),
    ("HeunDiscreteScheduler", {}),
    ("LMSDiscreteScheduler", {}),
    ("KDPM2DiscreteScheduler", {}),
    ("SASolverScheduler", {}),
    ("DDPMScheduler", {}),
]


@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
@pytest.mark.parametrize(("name", "entries"), COUNTED, ids=lambda x: x if isinstance(x, str) else ",".join(x))
def test_times_and_levels_are_those_of_the_source_class(name, entries, spacing, tmp_path):
    """Also of what was made from our own configuration, and of what was saved and loaded; gamma = 0 ends its steps there, too."""
    spaced = {"timestep_spacing": spacing, "steps_offset": 1} if name != "DPMSolverSinglestepScheduler" else {}
    theirs = getattr(diffusers, name)(**entries, **SD, **spaced)
    first = BDIAScheduler.from_config(theirs.config, _class_name=name, gamma=0.9, clip_sample=False)
    first.save_pretrained(tmp_path)
    made = [first, BDIAScheduler.from_config(first.config), BDIAScheduler.from_pretrained(tmp_path)]
    theirs.set_timesteps(7)
    walk = moving(theirs)
    for ours in (*made, BDIAScheduler.from_config(first.config, gamma=0.0)):
        ours.set_timesteps(7)
        found = moving(ours)
        assert [step.t for step in found] == [step.t for step in walk]
        # Where 7 does not divide 1000, steps of DDIMScheduler end elsewhere than at the next time, and those of gamma != 0 do not.
        jumps = configs.FAMILIES[name].walk == "jump" and ours.config.gamma
        for end in ("s",) if jumps else ("s", "s_end"):
            expected = [getattr(step, end) for step in walk]
            # alpha^2 is the same float32; 1 - alpha^2 = 8.5e-4 at t = 0 keeps 2^-24/8.5e-4 = 7e-5 of it.
            np.testing.assert_allclose([getattr(step, end) for step in found], expected, rtol=1e-4)


def moving(scheduler):
    """Return the steps of a live scheduler that have a length."""
    return [step for step in configs.from_scheduler(scheduler).steps if step.s != step.s_end]


def test_a_pipeline_of_fractional_times():
    """EulerDiscreteScheduler tells them; sigma/alpha is linear between two entries of the table, also where noise is added."""
    torch = pytest.importorskip("torch")
    theirs = diffusers.EulerDiscreteScheduler(**SD)
    ours, back, ddim = (
        kind.from_config(theirs.config, gamma=gamma)
        for kind, gamma in ((BDIAScheduler, 0.9), (BDIAInverseScheduler, 0.9), (BDIAScheduler, 0.0))
    )
    for scheduler in (theirs, ours, back, ddim):
        scheduler.set_timesteps(7)
    assert torch.equal(ours.timesteps, theirs.timesteps) and torch.equal(ddim.timesteps, theirs.timesteps)
    x, t = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3), theirs.timesteps[2:3]
    noised = [scheduler.add_noise(x, torch.ones_like(x), t) for scheduler in (ours, theirs)]
    torch.testing.assert_close(*noised, rtol=1e-5, atol=0)
    # Euler's method in sigma/alpha is DDIM.
    z = w = x * float(theirs.init_noise_sigma)
    assert ddim.init_noise_sigma == pytest.approx(float(theirs.init_noise_sigma), rel=1e-6)
    for t in theirs.timesteps:
        w = theirs.step(torch.sin(theirs.scale_model_input(w, t)), t, w).prev_sample
        z = ddim.step(torch.sin(ddim.scale_model_input(z, t)), t, z).prev_sample
    torch.testing.assert_close(z, w.to(z.dtype), rtol=1e-4, atol=1e-5)
    # An exact round trip on these times.
    z = x
    for t in back.timesteps:
        z = back.step(torch.sin(back.scale_model_input(z, t)), t, z).prev_sample
    ours.start_from(back.state)
    ours.set_timesteps(7)
    for t in ours.timesteps:
        z = ours.step(torch.sin(ours.scale_model_input(z, t)), t, z).prev_sample
    torch.testing.assert_close(z, x, rtol=0, atol=1e-12)


def test_a_method_of_several_stages_between_fractional_times():
    theirs = diffusers.EulerDiscreteScheduler(
        **SD, final_sigmas_type="sigma_min"
    )  # at sigma = 0 log(sigma) has no middle
    ours = SolverScheduler.from_config(theirs.config, solver_spec="dpmsolver:order=2")
    ours.set_timesteps(7)
    theirs.set_timesteps(7)
    assert (
        ours.timesteps[::2].tolist() == theirs.timesteps[:-1].tolist() and ours.order == 2
    )  # the last step has no length


def test_who_counts_can_be_said():
    entries = {"_class_name": "EulerDiscreteScheduler", **LEADING}
    made = BDIAScheduler.from_config(entries | {"timestep_spacing": "linspace"})
    assert made.config.counts_as == "EulerDiscreteScheduler"
    made.set_timesteps(7)
    assert made.timesteps.tolist() == [999, 832.5, 666, 499.5, 333, 166.5, 0]
    made = BDIAScheduler.from_config(made.config, counts_as=None)
    made.set_timesteps(7)
    assert made.timesteps.tolist() == [999, 832, 666, 500, 333, 166, 0]
    for options, says in (
        (
            {"counts_as": "FlowMatchEulerDiscreteScheduler"},
            "counts_as='FlowMatchEulerDiscreteScheduler' is none of DDIM",
        ),
        (
            {"counts_as": "DPMSolverMultistepInverseScheduler"},
            "counts_as='DPMSolverMultistepInverseScheduler' is none of",
        ),
        ({"counts_as": "Euler"}, "counts_as='Euler' is none of DDIMScheduler, .*EulerDiscreteScheduler"),
        (
            {"counts_as": "DPMSolverSinglestepScheduler"},
            "timestep_spacing='leading' is not taken by DPM.*counts_as=None",
        ),
        ({"walk": "ddim", "gamma": 0.0}, "walk='ddim' .*counts_as=None"),
    ):
        with pytest.raises(ValueError, match=says):
            BDIAScheduler.from_config(entries, **options)


def walk_of(scheduler, n):
    """Return times and sigma/alpha of the slots of one of ours, from noise to data."""
    scheduler.set_timesteps(n)
    grid = scheduler.grid
    return grid.t[::-1].astype(float).tolist(), (grid.sigma / grid.alpha)[::-1].astype(float)


@pytest.mark.parametrize(("name", "entries"), SAME, ids=lambda x: x if isinstance(x, str) else ",".join(x))
def test_the_walk_is_that_of_the_source(name, entries):
    """From a file, where what is not said is the default of its class, and from an object."""
    theirs = getattr(diffusers, name)(**entries)
    theirs.set_timesteps(20)
    source = configs.from_scheduler(theirs)
    levels = [*(step.s for step in source.steps), source.steps[-1].s_end]
    for config in ({"_class_name": name, **entries}, {**theirs.config, "_class_name": name}):
        times, ours = walk_of(BDIAScheduler.from_config(config, clip_sample=False), 20)
        assert times[:20] == [step.t for step in source.steps]
        # Both tables are in float32, in which 1 - alpha^2 has four digits at t = 0.
        np.testing.assert_allclose(ours, levels, rtol=1e-4)


def test_a_configuration_of_ours_is_read_as_that_of_its_source(tmp_path):
    """By all that read configurations: a network's loader, lint, a pipeline that is edited."""
    for name in ("sd15.json", "stable-diffusion-3-medium.json", "svd.json", "dpm_karras.json", "cogvideox2b.json"):
        entries = json.loads((CONFIGS / name).read_text(encoding="utf-8"))
        SolverScheduler.from_config(entries, solver_spec="edict").save_pretrained(tmp_path)
        source, ours = configs.from_mapping(entries), configs.read(tmp_path)
        assert (ours.prediction, ours.preconditioned) == (source.prediction, source.preconditioned)
        walks = [configs.layout(read, 7).steps for read in (source, ours)]
        assert walks[0] == walks[1]
    with pytest.raises(ValueError, match=r"beta_strat=0\.1 is an entry that nothing reads.*did you mean beta_start"):
        configs.from_mapping({**BDIAScheduler().config, "beta_strat": 0.1})
    own = {key for kind in vars(schedulers).values() for key in getattr(kind, "own", ())}
    assert own | set(SHARED) == OURS


DEFAULTS = [
    ({"_class_name": "EulerDiscreteScheduler"}, {"timestep_spacing": "linspace", "set_alpha_to_one": True}),
    ({"_class_name": "HeunDiscreteScheduler"}, {"beta_start": 0.00085, "beta_end": 0.012, "clip_sample": False}),
    (
        {"_class_name": "PNDMScheduler"},
        {"set_alpha_to_one": False, "timestep_spacing": "leading", "clip_sample": False},
    ),
    ({"_class_name": "FlaxDDIMScheduler", "steps_offset": 1}, {"set_alpha_to_one": True, "steps_offset": 1}),
    ({"_class_name": "DPMSolverMultistepScheduler", "final_sigmas_type": "sigma_min"}, {"set_alpha_to_one": False}),
    (
        {"_class_name": "EulerDiscreteScheduler", "set_alpha_to_one": False},
        {"set_alpha_to_one": True},
    ),  # as SDXL has it
    ({"_class_name": "DEISMultistepScheduler"}, {"set_alpha_to_one": False}),
    (
        {"_class_name": "DDIMScheduler", "use_karras_sigmas": True},
        {"clip_sample": None},
    ),  # which that class does not read
    ({"_class_name": "EDICTScheduler", "p": 0.9, "timestep_spacing": "trailing"}, {"timestep_spacing": "trailing"}),
    ({"beta_start": 0.001}, {"timestep_spacing": "leading", "set_alpha_to_one": True, "clip_sample": None}),
    ({"_class_name": "DPMSolverSinglestepScheduler"}, {"timestep_spacing": "linspace"}),  # which has no choice
]


@pytest.mark.parametrize(("entries", "expected"), DEFAULTS)
def test_what_is_not_said_is_the_default_of_its_own_class(entries, expected):
    made = BDIAScheduler.from_config(entries)
    assert {key: made.config[key] for key in expected} == expected


def test_the_object_of_another_class_need_not_say_its_name():
    made = EDICTScheduler.from_config(diffusers.EulerDiscreteScheduler(**SD).config)
    assert made.config.timestep_spacing == "linspace" and made.config.set_alpha_to_one
    with pytest.raises(ValueError, match=r"has no _class_name, and use_beta_sigmas=False.* add _class_name"):
        EDICTScheduler.from_config(
            diffusers.LMSDiscreteScheduler().config
        )  # KDPM2DiscreteScheduler has the same entries
    assert EDICTScheduler.from_config(diffusers.LMSDiscreteScheduler().config, _class_name="LMSDiscreteScheduler")


def test_options_win():
    entries = {"_class_name": "EulerDiscreteScheduler", "use_karras_sigmas": True, "set_alpha_to_one": False}
    own = {"timestep_spacing": "trailing", "set_alpha_to_one": False, "clip_sample": False, "gamma": 0.9}
    made = BDIAScheduler.from_config(entries, use_karras_sigmas=False, **own)
    assert {key: made.config[key] for key in own} == own
    assert BDIAScheduler.from_config(entries | {"use_karras_sigmas": False, "kept": 1}, ignore=["kept"])


REFUSED = [
    ({"_class_name": "CMStochasticIterativeScheduler"}, "consistency model"),
    ({"_class_name": "LCMScheduler"}, "original_inference_steps=50"),
    ({"_class_name": "FlowMatchLCMScheduler"}, "_class_name='FlowMatchLCMScheduler'.*distilled model"),
    ({"_class_name": "DDPMWuerstchenScheduler", "s": 0.008}, "_class_name='DDPMWuerstchenScheduler'"),
    ({"_class_name": "NoSuchScheduler"}, "its class is not known here"),
    ({"_class_name": "DPMSolverMultistepInverseScheduler"}, "a walk from data to noise; its sampler's configuration is read"),
]  # fmt: skip


@pytest.mark.parametrize(("entries", "says"), REFUSED, ids=lambda x: x if isinstance(x, str) else "")
def test_walks_that_are_not_made(entries, says):
    with pytest.raises(ValueError, match=f"{says}.*use `solve` with the grid") as said:
        BDIAScheduler.from_config(entries)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    ("entries", "options", "says"),
    [
        (
            {"_class_name": "EulerDiscreteScheduler", "beta_strat": 0.1},
            {},
            "beta_strat=0.1 .* .did you mean beta_start",
        ),
        ({"shift": 3.0}, {}, "no _class_name, and shift=3.0"),
        ({}, {"gama": 0.9}, "gama=0.9 is not an entry of DDIMScheduler"),
    ],
)
def test_entries_that_nothing_reads(entries, options, says):
    with pytest.raises(ValueError, match=says):
        BDIAScheduler.from_config(entries, **options)


NO_FALL = "alpha\\^2 of .*Scheduler must fall strictly, and is .*: "
LEVELS = [
    ({"_class_name": "EulerDiscreteScheduler", "rescale_betas_zero_snr": True}, f"{NO_FALL}set rescale_betas_zero_snr to false"),
    ({"_class_name": "DDIMScheduler", "trained_betas": [0.999] * 1000}, f"{NO_FALL}change beta_start and beta_end"),
    (
        {"_class_name": "EulerDiscreteScheduler", "use_karras_sigmas": True, "sigma_min": 1e-3, "final_sigmas_type": "sigma_min"},
        "sigma_min=0.001 lies below the table's lowest level, 0.01, .*: give that or more, or final_sigmas_type='zero'",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("entries", "says"), LEVELS, ids=["zero SNR", "betas", "sigma_min"])
def test_levels_that_do_not_fall_name_the_entry(entries, says):
    with pytest.raises(ValueError, match=says):
        BDIAScheduler.from_config(entries).set_timesteps(5)
    read = configs.from_mapping(entries)
    with pytest.raises(ValueError, match=says):
        make_grid(schedule_of(read), read, 5)


@pytest.mark.parametrize("name", ["stable-diffusion-v1-5", "stable-diffusion-2-1", "stable-diffusion-xl-base-1.0"])
def test_a_file_of_a_published_model(tmp_path, name):
    entries = json.loads((CONFIGS / f"{name}.json").read_text(encoding="utf-8"))
    (tmp_path / "scheduler_config.json").write_text(json.dumps(entries), encoding="utf-8")
    made = BDIAScheduler.from_pretrained(tmp_path)
    made.save_pretrained(tmp_path / "again")
    again = BDIAScheduler.from_pretrained(tmp_path / "again")
    names = made.config.keys() - {"_use_default_values"}
    assert {key: again.config[key] for key in names} == {key: made.config[key] for key in names}
