"""Layouts of scheduler configurations: held against the schedulers of diffusers, and against published facts."""

from pathlib import Path

import numpy as np
import pytest
from config_matrix import CLASSES, drawn, outcome

from bdia_numerics import configs, grids

# NumPy 2 against the tensors of this torch, inside diffusers.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CONFIGS = Path(__file__).parent / "configs"
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
LISTED = ("DDIMScheduler", "DDIMInverseScheduler", "DDPMScheduler")
BY_LEVEL = (
    "EulerDiscreteScheduler",
    "LMSDiscreteScheduler",
    "DPMSolverMultistepScheduler",
    "DEISMultistepScheduler",
    "UniPCMultistepScheduler",
)


@pytest.fixture(scope="module")
def diffusers():
    return pytest.importorskip("diffusers", reason="the extra torch is missing")


def both(diffusers, name, steps, **entries):
    scheduler = getattr(diffusers, name)(**entries)
    scheduler.set_timesteps(steps)
    return configs.layout(configs.from_mapping(dict(scheduler.config) | {"_class_name": name}), steps), scheduler


SPACED = [(name, spacing) for name in LISTED + BY_LEVEL for spacing in ("leading", "linspace", "trailing")]
SPACED.remove(("DDIMInverseScheduler", "linspace"))  # which it does not know


@pytest.mark.parametrize("steps", [7, 30, 50, 61])
@pytest.mark.parametrize(("name", "spacing"), SPACED)
def test_times_and_levels_are_those_of_diffusers(diffusers, name, spacing, steps):
    walk, scheduler = both(diffusers, name, steps, timestep_spacing=spacing, **SD)
    np.testing.assert_allclose([step.t for step in walk.steps], scheduler.timesteps.numpy(), rtol=1e-6)
    if name in BY_LEVEL:  # from float32 there, in which 1 - alpha^2 has four digits at t = 0
        levels = [*(step.s for step in walk.steps), walk.steps[-1].s_end]
        np.testing.assert_allclose(levels, scheduler.sigmas.numpy(), rtol=1e-4)


@pytest.mark.parametrize("beta_schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("rescaled", [False, True])
def test_tables_are_those_of_diffusers(diffusers, beta_schedule, rescaled):
    entries = {"beta_schedule": beta_schedule, "rescale_betas_zero_snr": rescaled}
    table = diffusers.DDIMScheduler(**entries).alphas_cumprod.numpy()
    np.testing.assert_allclose(configs.alphas_cumprod(configs.from_mapping(entries)), table, rtol=2e-4, atol=1e-7)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_levels(diffusers, shift):
    walk, scheduler = both(diffusers, "FlowMatchEulerDiscreteScheduler", 28, shift=shift)
    levels = np.array([step.s for step in walk.steps] + [walk.steps[-1].s_end])
    with np.errstate(invalid="ignore"):
        sigma = np.where(np.isinf(levels), 1, levels / (1 + levels))
    np.testing.assert_allclose(sigma, scheduler.sigmas.numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"])
def test_edm_levels(diffusers, name):
    walk, scheduler = both(diffusers, name, 20)
    np.testing.assert_allclose([step.s for step in walk.steps], scheduler.sigmas.numpy()[:-1], rtol=1e-4)
    assert walk.steps[-1].s_end == 0


def test_karras_levels(diffusers):
    walk, scheduler = both(diffusers, "EulerDiscreteScheduler", 20, use_karras_sigmas=True, **SD)
    np.testing.assert_allclose([step.s for step in walk.steps], scheduler.sigmas.numpy()[:-1], rtol=1e-4)


def test_stable_diffusion_as_its_yaml_and_as_its_json():
    ours, theirs = (configs.read(CONFIGS / name) for name in ("v2-inference-v.yaml", "stable-diffusion-2-1.json"))
    np.testing.assert_array_equal(configs.alphas_cumprod(ours), configs.alphas_cumprod(theirs))
    assert ours["prediction_type"] == theirs["prediction_type"] == "v_prediction"
    times = [[step.t for step in configs.layout(config, 50).steps] for config in (ours, theirs)]
    assert times[0] == times[1]


def test_a_pipeline_folder(tmp_path):
    (tmp_path / "scheduler").mkdir()
    text = (CONFIGS / "stable-diffusion-v1-5.json").read_text(encoding="utf-8")
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(text, encoding="utf-8")
    assert configs.read(tmp_path).name == "PNDMScheduler"


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"num_train_timesteps": 0}, "num_train_timesteps=0"),
        ({"beta_start": 2}, "beta_start=2"),
        ({"timestep_spacing": "even"}, "timestep_spacing='even'"),
        ({"model": {}}, "model.params"),
    ],
)
def test_bad_entries(entries, says):
    with pytest.raises(ValueError, match=says):
        configs.from_mapping(entries)


LDM = {"linear_start": 0.00085, "linear_end": 0.012, "timesteps": 1000}


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        (
            {"beta_schedul": "linear"},
            "config has no _class_name, and beta_schedul='linear' .*did you mean beta_schedule",
        ),
        (
            LDM | {"beta_schedul": "cosine"},
            "beta_schedul='cosine' is an entry that nothing reads.*did you mean beta_schedule",
        ),
        (
            LDM | {"parametrization": "v"},
            "parametrization='v' .*--ignore parametrization.*did you mean parameterization",
        ),
        ({"model": {"params": LDM | {"timestep": 400}}}, "timestep=400 .*did you mean timesteps"),
        ({"linear_end": 0.012, "timestep": 1000}, "timestep=1000 .*did you mean timesteps"),
        ({"parameterization": "v", "linear_strat": 0.00085}, "linear_strat=0.00085 .*did you mean linear_start"),
        (LDM | {"beta_end": 0.02}, "beta_end=0.02 is an entry that nothing reads"),
        (LDM | {"shift": 3.0}, "shift=3.0 is an entry that nothing reads"),
        (LDM | {"linear_end": "0,012"}, r"linear_end='0,012' is not in .0, 1."),
        (LDM | {"linear_start": 2}, r"linear_start=2 is not in .0, 1."),
        (LDM | {"beta_schedule": ["linear"]}, r"beta_schedule=.'linear'. is unknown: use linear"),
        (LDM | {"parameterization": "vel"}, "parameterization='vel' is unknown: use one of eps, x0, v"),
        (LDM | {"_class_name": "DDIMScheduler"}, ".*is an entry that nothing reads"),
    ],
    ids=str,
)
def test_entries_of_compvis_that_nothing_reads(entries, says):
    with pytest.raises(ValueError, match=f"^{says}"):
        configs.from_mapping(entries)


EULER, FLOW = {"_class_name": "EulerDiscreteScheduler"}, {"_class_name": "FlowMatchEulerDiscreteScheduler"}
EDM = {"_class_name": "EDMEulerScheduler"}


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        (FLOW | {"shift": "3.0"}, "shift='3.0' is not "),
        (FLOW | {"shift": None}, "shift=None is not "),
        (FLOW | {"shift": float("nan")}, "shift=nan is not "),
        (FLOW | {"shift": 0.0}, "shift=0.0 is not a number from 0.001"),
        (FLOW | {"shift_terminal": "0.1"}, "shift_terminal='0.1' is not "),
        (FLOW | {"use_dynamic_shifting": "false"}, "use_dynamic_shifting='false' is neither true nor false"),
        (EULER | {"use_karras_sigmas": "false"}, "use_karras_sigmas='false' is neither"),
        (EULER | {"use_karras_sigmas": None}, "use_karras_sigmas=None is neither"),
        (EULER | {"use_karras_sigmas": True, "sigma_max": "20"}, "sigma_max='20' is not "),
        (EULER | {"prediction_type": ["epsilon"]}, r"prediction_type=.'epsilon'. is not a name"),
        (EULER | {"num_train_timesteps": 10**12}, "num_train_timesteps=1000000000000 is not a whole number from 2"),
        (
            {"_class_name": "UniPCMultistepScheduler", "use_flow_sigmas": True, "flow_shift": "3"},
            "flow_shift='3' is not ",
        ),
        (
            {"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": "-5.1"},
            "lambda_min_clipped='-5.1' is no",
        ),
        ({"_class_name": "DPMSolverMultistepScheduler", "solver_order": "2"}, "solver_order='2' is not "),
        (
            {"_class_name": "LCMScheduler", "original_inference_steps": "50"},
            "original_inference_steps='50' is not ",
        ),
        (
            {"_class_name": "LCMScheduler", "original_inference_steps": 50.5},
            "original_inference_steps=50.5 is not a whole number",
        ),
        ({"_class_name": "CogVideoXDDIMScheduler", "snr_shift_scale": None}, "snr_shift_scale=None is not "),
        (EDM | {"rho": 0}, "rho=0 is not a number from 0.001"),
        (EDM | {"sigma_min": -1.0}, "sigma_min=-1.0 is not a number from 0"),
        (EDM | {"sigma_max": float("inf")}, "sigma_max=inf is not "),
        (EULER | {"steps_offset": "1"}, "steps_offset='1' is not a whole number"),
        (EULER | {"beta_start": "0.00085"}, r"beta_start='0.00085' is not in .0, 1."),
        ({1: 2}, "config has the key 1, which is not a name"),
        ({"_class_name": 5}, "_class_name=5 is not a name"),
        ({"_class_name": ["A"]}, r"_class_name=.'A'. is not a name"),
        (
            {"_class_name": "StableDiffusionPipeline", "unet": ["a", "b"]},
            "_class_name='StableDiffusionPipeline' is that of a pipeline",
        ),
        ({"scheduler": EULER}, "scheduler holds a configuration of its own"),
    ],
    ids=str,
)
def test_entries_of_another_kind(entries, says):
    """Most of these end in a TypeError of diffusers, and "false" counts as true there."""
    with pytest.raises(ValueError, match=f"^{says}") as said:
        configs.from_mapping(entries)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    ("entries", "passed", "says"),
    [
        ({}, {"n": 2.5}, "n=2.5 is not a number of steps"),
        ({}, {"n": True}, "n=True is not a number of steps"),
        ({}, {"n": 0}, "steps=0: ask for 1 or more"),
        (EULER, {"timesteps": []}, "timesteps is empty"),
        (EULER, {"timesteps": [float("nan")]}, "timesteps has nan: pass finite numbers"),
        (EULER, {"sigmas": [1.0]}, "sigmas has one level"),
        (FLOW | {"use_dynamic_shifting": True}, {"n": 5, "mu": float("nan")}, "mu has nan"),
        (FLOW | {"use_dynamic_shifting": True}, {"n": 5, "mu": "1"}, "mu has '1'"),
        (
            {"_class_name": "UniPCMultistepScheduler"},
            {"sigmas": [1.0, 0.5]},
            "sigmas is taken with use_flow_sigmas only",
        ),
        (
            {"_class_name": "DDPMScheduler"},
            {"timesteps": [1000, 3]},
            "t=1000 is outside the table .* pass times up to 999",
        ),
    ],
    ids=str,
)
def test_what_is_passed_and_is_no_walk(entries, passed, says):
    with pytest.raises(ValueError, match=f"^{says}"):
        configs.layout(configs.from_mapping(entries), **passed)


def test_numbers_of_numpy_and_names_of_classes():
    assert configs.from_mapping(FLOW | {"shift": np.float32(3)})["shift"] == 3
    assert configs.from_mapping(EULER | {"use_karras_sigmas": 1}).kind == "karras"  # as diffusers has it
    assert configs.from_mapping({"_class_name": "DDIMSchedular"}).family.why.endswith("(did you mean DDIMScheduler?)")


def test_entries_of_compvis_that_are_read(tmp_path):
    """Those of the network do nothing to the walk; what is not said is CompVis' default, also in a mapping that is flat."""
    network = {"unet_config": {"target": "x"}, "first_stage_key": "jpg", "use_ema": False, "scale_factor": 0.18215}
    read = configs.from_mapping({"model": {"base_learning_rate": 1e-4, "params": LDM | network}, "data": {}})
    assert read == configs.from_mapping(LDM) == configs.from_mapping(LDM | {"mine": 1}, ignore=["mine"])
    assert configs.from_mapping({"linear_end": 0.012})["beta_start"] == 1e-4
    # Stability's generative-models have their levels, here those of EDM, where CompVis has none.
    edm = {"network_config": {}, "denoiser_config": {"params": {"scaling_config": {"target": "EDMScaling"}}}}
    with pytest.raises(ValueError, match=r"denoiser_config=.* is an entry that nothing reads"):
        configs.from_mapping({"model": {"params": edm}})
    # As OmegaConf reads it, which is what runs these files.
    (tmp_path / "a.yaml").write_text("model:\n  params:\n    linear_start: 1e-4\n", encoding="utf-8")
    assert configs.read(tmp_path / "a.yaml")["beta_start"] == 1e-4


def test_bad_files(tmp_path):
    with pytest.raises(ValueError, match="No such file"):
        configs.read(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="is not JSON"):
        configs.read(tmp_path / "broken.json")
    for text, says in (("", "is empty"), (" \n", "is empty"), ("{'a': 1}", "is not JSON")):
        (tmp_path / "broken.json").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=says):
            configs.read(tmp_path / "broken.json")
    for text in ("null", "[]", "3"):
        (tmp_path / "broken.json").write_text(text, encoding="utf-8")
        with pytest.raises(TypeError, match=r"broken\.json.* and not a table: give a scheduler_config.json"):
            configs.read(tmp_path / "broken.json")
    (tmp_path / "marked.json").write_text("\ufeff{}", encoding="utf-8")  # as some editors begin a file
    assert configs.read(tmp_path / "marked.json").name == "DDIMScheduler"
    (tmp_path / "broken.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(ValueError, match="is not YAML"):
        configs.read(tmp_path / "broken.yaml")
    with pytest.raises(ValueError, match="steps=2000"):
        configs.layout(configs.from_mapping({}), 2000)


@pytest.mark.parametrize("betas", ["abc", [0.1, "x"], [0.1], [0.1, 2.0], [[0.1], [0.2, 0.3]]], ids=str)
def test_tables_that_are_none(betas):
    with pytest.raises(ValueError, match=r"^trained_betas.*: give 2 .*in .0, 1.$"):
        configs.alphas_cumprod(configs.from_mapping({"trained_betas": betas, "num_train_timesteps": 2}))


def test_parameters_of_every_class_are_those_of_diffusers(diffusers):
    """29 classes. A parameter that a newer diffusers adds fails here, and is refused in a configuration until it stands in the table."""
    import inspect

    assert len(CLASSES) == 29
    for name in CLASSES:
        own = dict(configs.FAMILIES[name].defaults)
        parameters = inspect.signature(getattr(diffusers, name).__init__).parameters.items()
        assert own == {key: p.default for key, p in parameters if key not in ("self", "kwargs")}, name


@pytest.mark.filterwarnings("ignore")
def test_walks_drawn_at_random_are_those_of_diffusers_or_refused(diffusers):
    found = [(case, outcome(case)) for case in drawn(5, 145)]
    wrong = [(case, said) for case, said in found if said.kind == "different"]
    assert not wrong
    assert sum(said.kind == "same" for _, said in found) >= 0.6 * len(
        found
    )  # one in four is refused by diffusers itself


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(5))
def test_a_thousand_walks(diffusers, seed):
    """Of what diffusers itself runs, 85% in all and 60% in each class are read, and none is read wrongly."""
    counts = {name: {"same": 0, "refused": 0} for name in CLASSES}
    for case in drawn(seed, 1000):
        said = outcome(case)
        assert said.kind != "different", (case, said)
        assert said.kind != "not refused", (case, said)
        if said.kind in ("same", "refused"):
            counts[case.name][said.kind] += 1
    read, refused = (sum(count[kind] for count in counts.values()) for kind in ("same", "refused"))
    assert read >= 0.85 * (read + refused)
    assert all(count["same"] >= 0.6 * sum(count.values()) for count in counts.values()), counts


BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
READ = [  # class, entries, steps, mu, (first sigma/alpha, last one before the end): what diffusers 0.42 itself walks
    ("UniPCMultistepScheduler", {"use_flow_sigmas": True, "flow_shift": 3.0}, 20, None, (999999, None)),
    (
        "DPMSolverMultistepScheduler",
        {"use_karras_sigmas": True, "timestep_spacing": "leading", **BETAS},
        25,
        None,
        (14.6146, 0.029168),
    ),
    (
        "EulerDiscreteScheduler",
        {"use_karras_sigmas": True, "timestep_spacing": "leading", "steps_offset": 1, **BETAS},
        25,
        None,
        (None, 0.04131),
    ),
    (
        "DPMSolverMultistepScheduler",
        {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1},
        20,
        None,
        (160, None),
    ),
    (
        "FlowMatchEulerDiscreteScheduler",
        {"use_dynamic_shifting": True, "shift_terminal": 0.02},
        20,
        0.9,
        (np.inf, 0.02 / 0.98),
    ),
    ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0}, 20, None, (np.inf, 0.00893 / (1 - 0.00893))),
]


@pytest.mark.parametrize(("name", "entries", "steps", "mu", "ends"), READ)
def test_what_was_read_as_another_schedule(name, entries, steps, mu, ends):
    walk = configs.layout(configs.from_mapping({"_class_name": name} | entries), steps, mu=mu)
    for step, end in zip((walk.steps[0], walk.steps[-1]), ends, strict=True):
        assert end is None or step.s == pytest.approx(end, rel=2e-2)


def test_continuous_times_of_video_diffusion():
    svd = {"_class_name": "EulerDiscreteScheduler", "timestep_type": "continuous", "use_karras_sigmas": True, "sigma_min": 0.002,
           "sigma_max": 700.0, "prediction_type": "v_prediction", **BETAS}  # fmt: skip
    walk = configs.layout(configs.from_mapping(svd), 25)
    assert walk.steps[0].s == 700
    np.testing.assert_allclose(walk.told, [np.log(step.s) / 4 for step in walk.steps], rtol=1e-6)


def test_signal_to_noise_shift():
    entries = {"_class_name": "CogVideoXDDIMScheduler", "rescale_betas_zero_snr": True}
    table = configs.alphas_cumprod(configs.from_mapping(entries))
    assert table[500] == pytest.approx(0.0953, abs=5e-5)
    assert configs.alphas_cumprod(configs.from_mapping(entries | {"snr_shift_scale": 1.0}))[500] == pytest.approx(
        0.2410, abs=5e-5
    )


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"beta_schedul": "linear"}, "config has no _class_name, and beta_schedul='linear' .*did you mean beta_schedule"),
        ({"shift": 3.0}, "no _class_name, and shift=3.0"),
        ({"_class_name": "EulerDiscreteScheduler", "predict_epsilon": False}, "predict_epsilon=False is an entry that nothing reads"),
        ({"_class_name": "DDIMScheduler", "beta_schedule": "sigmoid"}, "beta_schedule='sigmoid' is none of DDIMScheduler"),
        ({"_class_name": "FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting": True}, "mu is missing"),
        ({"_class_name": "DDPMWuerstchenScheduler"}, "the walk of DDPMWuerstchenScheduler is not read"),
        ({"_class_name": "NoSuchScheduler"}, "the walk of NoSuchScheduler is not read"),
        ({"_class_name": "UniPCMultistepScheduler", "shift_terminal": 0.1}, "shift_terminal=0.1 needs use_flow_sigmas"),
        ({"_class_name": "DEISMultistepScheduler", "use_karras_sigmas": True, "use_flow_sigmas": True}, "use_flow_sigmas with karras"),
        ({"_class_name": "HeunDiscreteScheduler", "use_karras_sigmas": True, "use_beta_sigmas": True}, "are both set"),
        ({"parameterization": "mu", "linear_start": 0.1}, "parameterization='mu'"),
        ({"given_betas": [0.1], "linear_start": 0.1}, "given_betas"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_refused(entries, says):
    with pytest.raises(ValueError, match=says):
        configs.layout(configs.from_mapping(entries), 10)


def test_entries_that_do_nothing():
    """An underscore, another class's parameter, and what one knows."""
    entries = {"_class_name": "EulerDiscreteScheduler", "_use_default_values": [], "skip_prk_steps": True, "made_up": 1}
    config = configs.from_mapping(entries, ignore=["made_up"])
    assert config.ignored == {"skip_prk_steps"}
    # Karras et al. 2022, eq. 5: other classes' sigma_max counts in the conversions of this one.
    kept = configs.from_mapping({"_class_name": "HeunDiscreteScheduler", "use_karras_sigmas": True, "sigma_max": 29.2})
    assert configs.layout(kept, 10).steps[0].s == pytest.approx(29.2, rel=1e-7)


@pytest.mark.parametrize(
    ("name", "passed", "told"),
    [
        ("EulerDiscreteScheduler", {"timesteps": [999, 500, 0]}, (999, 500, 0)),
        ("DPMSolverMultistepScheduler", {"timesteps": [999, 500, 1]}, (999, 500, 1)),
        ("FlowMatchEulerDiscreteScheduler", {"sigmas": [1.0, 0.75, 0.5]}, (1000, 750, 500)),
    ],
)
def test_own_times(diffusers, name, passed, told):
    walk = configs.layout(configs.from_mapping({"_class_name": name}), **passed)
    scheduler = getattr(diffusers, name)()
    scheduler.set_timesteps(**passed)
    assert walk.told == told == tuple(float(t) for t in scheduler.timesteps)
    with pytest.raises(ValueError, match="sigmas is not taken by DDIMScheduler"):
        configs.layout(configs.from_mapping({}), sigmas=[1.0, 0.5])
    with pytest.raises(ValueError, match="n=5 with"):
        configs.layout(configs.from_mapping({"_class_name": name}), 5, **passed)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CLASSES)
def test_the_walk_of_a_live_scheduler(diffusers, name):
    """Taken from the object: no configuration is read, and both ways agree."""
    entries = {"steps_offset": 1} if name == "PNDMScheduler" else {}  # whose last step has no length by default
    scheduler = getattr(diffusers, name)(**entries)
    scheduler.set_timesteps(10)
    taken, read = (
        configs.from_scheduler(scheduler),
        configs.layout(configs.from_mapping({"_class_name": name} | entries), 10),
    )
    np.testing.assert_allclose(taken.told, read.told, rtol=1e-6, atol=1e-4)
    columns = ([[step.t, step.s, step.s_end] for step in walk.steps] for walk in (taken, read))
    np.testing.assert_allclose(*columns, rtol=1e-5)
    grid = grids.from_scheduler(scheduler)
    told = grid.timesteps[:-1] if not name.endswith("InverseScheduler") else grid.t[1:]
    assert grid.n == 10 and told.tolist() == [step.t for step in taken.steps]


def test_objects_that_are_no_schedulers(diffusers):
    with pytest.raises(ValueError, match="call its set_timesteps first"):
        configs.from_scheduler(diffusers.DDIMScheduler())
    with pytest.raises(TypeError, match="pass a scheduler of diffusers"):
        configs.from_scheduler(object())


# What a reader with diffusers beside them would find: each was a walk without a word that is not the scheduler's.


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("alpha_one", [True, False])
def test_tcd_ends_at_the_first_entry_of_its_table(n, alpha_one):
    diffusers, torch = pytest.importorskip("diffusers"), pytest.importorskip("torch")
    scheduler = diffusers.TCDScheduler(set_alpha_to_one=alpha_one)
    scheduler.set_timesteps(n)
    # z = alpha x + sigma eps with x = (1, 0), eps = (0, 1): the ratio of the last sample is the level that it stands at.
    level = float(scheduler.alphas_cumprod[int(scheduler.timesteps[0])])
    z, eps = torch.tensor([level**0.5, (1 - level) ** 0.5]), torch.tensor([0.0, 1.0])
    for t in scheduler.timesteps:
        z = scheduler.step(eps, t, z, eta=0.0).prev_sample
    ran = float(z[1] / z[0])
    config = configs.from_mapping({"_class_name": "TCDScheduler", "set_alpha_to_one": alpha_one})
    assert configs.layout(config, n).steps[-1].s_end == pytest.approx(ran, rel=1e-5, abs=0)
    assert configs.from_scheduler(scheduler).steps[-1].s_end == pytest.approx(ran, rel=1e-5, abs=0)


def test_sigmas_are_not_dropped_for_a_kind_of_sigmas():
    flow = {"_class_name": "UniPCMultistepScheduler", "use_flow_sigmas": True, "use_karras_sigmas": True}
    with pytest.raises(ValueError, match="sigmas with karras sigmas of flow matching"):
        configs.layout(configs.from_mapping(flow | {"prediction_type": "flow_prediction"}), 3, sigmas=[1.0, 0.7, 0.2])


@pytest.mark.parametrize("n", [7, 30, 61, 103])
def test_trailing_towards_the_noise_has_as_many_times_as_diffusers(n):
    diffusers = pytest.importorskip("diffusers")
    entries = {"timestep_spacing": "trailing"}
    scheduler = diffusers.DPMSolverMultistepInverseScheduler(**entries)
    scheduler.set_timesteps(n)
    found = configs.layout(configs.from_mapping({"_class_name": "DPMSolverMultistepInverseScheduler"} | entries), n)
    assert list(found.told) == scheduler.timesteps.tolist()


def test_a_flow_without_a_class_name_is_not_guessed():
    with pytest.raises(ValueError, match=r"no _class_name, and shift=3\.0"):
        configs.from_mapping({"num_train_timesteps": 1000, "shift": 3.0})


@pytest.mark.parametrize("hidden", [{"shift": 3.0}, {"use_flow_sigmas": True}])
def test_a_live_scheduler_is_not_read_by_entries_of_another_class(hidden):
    diffusers = pytest.importorskip("diffusers")
    plain, other = diffusers.EulerDiscreteScheduler(), diffusers.EulerDiscreteScheduler.from_config(hidden)
    for scheduler in (plain, other):
        scheduler.set_timesteps(7)
    assert configs.from_scheduler(other).steps == configs.from_scheduler(plain).steps


def test_a_live_table_longer_than_the_training_steps_jumps_as_ddim_does():
    diffusers, torch = pytest.importorskip("diffusers"), pytest.importorskip("torch")
    scheduler = diffusers.DDIMScheduler(trained_betas=[0.001] * 2000, clip_sample=False)
    scheduler.set_timesteps(10)
    t = scheduler.timesteps[0]
    level = float(scheduler.alphas_cumprod[int(t)])
    z = scheduler.step(torch.tensor([0.0, 1.0]), t, torch.tensor([level**0.5, (1 - level) ** 0.5])).prev_sample
    assert configs.from_scheduler(scheduler).steps[0].s_end == pytest.approx(float(z[1] / z[0]), rel=1e-5, abs=0)


@pytest.mark.parametrize("name", ["RePaintScheduler", "LTXEulerAncestralRFScheduler", "PiflowScheduler"])
def test_walks_that_are_more_than_levels_are_refused_alive_as_from_a_file(name):
    kind = getattr(pytest.importorskip("diffusers"), name, None)
    if kind is None:
        pytest.skip(f"this diffusers has no {name}")
    scheduler = kind()
    scheduler.set_timesteps(7)
    for read in (configs.from_scheduler, grids.from_scheduler):
        with pytest.raises(TypeError, match=f"the walk of {name} is not read: it"):
            read(scheduler)


@pytest.mark.parametrize("name", ["DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"])
def test_times_are_not_dropped_for_levels_of_flow_matching(name):
    """diffusers itself stops there with a TypeError."""
    flow = configs.from_mapping({"_class_name": name, "use_flow_sigmas": True, "prediction_type": "flow_prediction"})
    with pytest.raises(ValueError, match=f"timesteps cannot be passed with flow sigmas: {name} refuses them"):
        configs.layout(flow, timesteps=[900, 500, 100])


def test_levels_of_an_inverted_flow_are_those_of_the_state(diffusers):
    """Mochi's scheduler holds and tells 1 - sigma: its samples begin as noise, whose sigma is 1."""
    theirs = diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=True)
    theirs.set_timesteps(4)
    walk = configs.layout(configs.from_mapping(dict(theirs.config) | {"_class_name": type(theirs).__name__}), 4)
    assert list(walk.told) == theirs.timesteps.tolist()
    levels = [walk.levels.sigma(s) for s in (*(step.s for step in walk.steps), walk.steps[-1].s_end)]
    np.testing.assert_allclose(levels, 1 - theirs.sigmas.numpy(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(walk.grid().sigma[::-1], levels)
    # A network that is told and predicts otherwise than grids are for.
    for read in (configs.from_scheduler, grids.from_scheduler):
        with pytest.raises(ValueError, match="invert_sigmas=True: such a network is told 1 - sigma"):
            read(theirs)


def test_a_live_scheduler_whose_times_are_on_a_device(diffusers):
    """As a pipeline on a GPU leaves them, which no array is made of."""

    class Away:
        def __init__(self, column):
            self.cpu = lambda: column

        def __array__(self, *args, **kwargs):
            raise TypeError("can't convert cuda:0 device type tensor to numpy")

    scheduler = diffusers.DDIMScheduler()
    scheduler.set_timesteps(5)
    steps = configs.from_scheduler(scheduler).steps
    scheduler.timesteps, scheduler.alphas_cumprod = Away(scheduler.timesteps), Away(scheduler.alphas_cumprod)
    assert configs.from_scheduler(scheduler).steps == steps
