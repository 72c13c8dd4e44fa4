"""Layouts of scheduler configurations: held against the schedulers of diffusers, and against published facts."""

from pathlib import Path

import numpy as np
import pytest

from bdia_numerics import configs

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


@pytest.mark.parametrize("path", sorted(CONFIGS.iterdir()), ids=lambda path: path.stem)
def test_real_configurations_are_read(path):
    config = configs.read(path)
    walk = configs.layout(config, 20)
    assert config.known
    assert len(walk.steps) == 20
    if config.rule != "flow":  # which begins at alpha = 0
        assert walk.grid().n == 20


def test_stable_diffusion_as_its_yaml_and_as_its_json():
    ours, theirs = (configs.read(CONFIGS / name) for name in ("v2-inference-v.yaml", "stable-diffusion-2-1.json"))
    np.testing.assert_array_equal(configs.alphas_cumprod(ours), configs.alphas_cumprod(theirs))
    assert ours["prediction_type"] == theirs["prediction_type"] == "v_prediction"
    times = [[step.t for step in configs.layout(config, 50).steps] for config in (ours, theirs)]
    assert times[0] == times[1]


def test_a_pipeline_folder(tmp_path):
    (tmp_path / "scheduler").mkdir()
    text = (CONFIGS / "stable-diffusion-v1-5.json").read_text()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(text)
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


def test_bad_files(tmp_path):
    with pytest.raises(ValueError, match="No such file"):
        configs.read(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match="is no JSON"):
        configs.read(tmp_path / "broken.json")
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(ValueError, match="is no YAML"):
        configs.read(tmp_path / "broken.yaml")
    with pytest.raises(ValueError, match="steps=2000"):
        configs.layout(configs.from_mapping({}), 2000)


@pytest.mark.parametrize("betas", ["abc", [0.1, "x"], [0.1], [0.1, 2.0], [[0.1], [0.2, 0.3]]], ids=str)
def test_tables_that_are_none(betas):
    with pytest.raises(ValueError, match=r"^trained_betas.*: give 2 .*in .0, 1.$"):
        configs.alphas_cumprod(configs.from_mapping({"trained_betas": betas, "num_train_timesteps": 2}))
