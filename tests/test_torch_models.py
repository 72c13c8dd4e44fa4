"""Networks as models: adapters against the loops of diffusers and of EDM, loaders on folders that the test writes."""

import json
import pickle
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
diffusers = pytest.importorskip("diffusers", reason="needs the extra torch")

import safetensors.torch  # noqa: E402

from bdia_numerics import BDIA, DDIM, Euler, configs, grids, invert, models, schedules, solve  # noqa: E402
from bdia_numerics.torch.networks import loading  # noqa: E402
from bdia_numerics.torch.networks.loading import Loaded, load  # noqa: E402
from bdia_numerics.torch.networks.models import NetworkModel, Preconditioned, as_time, controlled, denoiser  # noqa: E402
from bdia_numerics.torch.scheduling import make_grid, schedule_of  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",
    "ignore:.*is a pickle. its code is run:UserWarning",
)

torch.set_num_threads(1)  # the tensors are small: on a busy machine a second thread costs more than it saves
UNIT = torch.finfo(torch.float32).eps


def seeded(make, *arguments, **options):
    torch.manual_seed(0)
    return make(*arguments, **options).eval()


def tiny_unet(**options):
    return seeded(
        diffusers.UNet2DModel, sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8, 16),
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2, norm_num_groups=4, attention_head_dim=8, **options,
    )  # fmt: skip


def tiny_conditional():
    return seeded(
        diffusers.UNet2DConditionModel, sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=6, norm_num_groups=4, attention_head_dim=2,
    )  # fmt: skip


@pytest.fixture(scope="module")
def unet():
    return tiny_unet()


@pytest.fixture(scope="module")
def conditional():
    return tiny_conditional()


def draw(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def size(x):
    return float(x.detach().abs().max())


def by_diffusers(scheduler, steps, z, network):
    """Return the end of diffusers' own loop."""
    scheduler.set_timesteps(steps)
    with torch.no_grad():
        for t in scheduler.timesteps:
            z = scheduler.step(network(z, t), t, z).prev_sample
    return z


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("to_one", [True, False])
def test_ddim_on_a_scheduler_config_is_diffusers(unet, spacing, prediction, to_one):
    config = {
        "_class_name": "DDIMScheduler", "timestep_spacing": spacing, "prediction_type": prediction, "set_alpha_to_one": to_one,
        "clip_sample": False, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
        "steps_offset": int(spacing == "leading"),
    }  # fmt: skip
    read = configs.from_mapping(config)
    kind = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}[prediction]
    z = draw(2, 1, 8, 8)
    grid = make_grid(schedule_of(read), read, 5)
    found = solve(DDIM(), NetworkModel(unet, kind), grid, z)
    scheduler = diffusers.DDIMScheduler.from_config({k: v for k, v in config.items() if k != "_class_name"})
    scheduler.set_timesteps(5)
    assert [float(t) for t in scheduler.timesteps] == grid.timesteps[:5].tolist()
    theirs = by_diffusers(scheduler, 5, z, lambda z, t: unet(z, t).sample)
    # float32 tables there; alpha is 0.07 at the noise end, which magnifies what eps loses.
    assert size(found.z - theirs) < 2000 * UNIT * size(theirs)
    assert size(solve(DDIM(), NetworkModel(unet, "x0" if kind == "eps" else "eps"), grid, z).z - theirs) > 1e-2


def test_linspace_times_are_diffusers():
    read = configs.from_mapping({"timestep_spacing": "linspace"})
    scheduler = diffusers.DDIMScheduler(timestep_spacing="linspace")
    scheduler.set_timesteps(7)
    # Its step goes to t - T//S whatever the next time is, so only the times are compared.
    assert make_grid(schedule_of(read), read, 7).timesteps[:7].tolist() == [float(t) for t in scheduler.timesteps]


def test_flow_matching_is_diffusers():
    network = seeded(
        diffusers.SD3Transformer2DModel, sample_size=8, patch_size=2, in_channels=4, num_layers=1, attention_head_dim=8,
        num_attention_heads=2, joint_attention_dim=16, caption_projection_dim=16, pooled_projection_dim=16, out_channels=4,
    )  # fmt: skip
    words = {"encoder_hidden_states": draw(2, 3, 16, seed=1), "pooled_projections": draw(2, 16, seed=2)}
    read = configs.from_mapping({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0})
    scheduler, z = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0), draw(2, 4, 8, 8)
    scheduler.set_timesteps(6)
    levels = scheduler.sigmas.double().numpy()
    grid = grids.from_timesteps(schedules.flow(), levels)
    model = NetworkModel(network, "velocity", words, time_scale=1000.0)
    found = solve(DDIM(), model, grid, z)
    theirs = by_diffusers(scheduler, 6, z, lambda z, t: network(z, timestep=t.expand(2), **words).sample)
    assert size(found.z - theirs) < 500 * UNIT * size(theirs) and size(theirs - z) > 0.1
    ours = make_grid(schedule_of(read), read, 6)
    np.testing.assert_allclose(ours.timesteps, levels, rtol=1e-6)


TABLE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
FAMILIES = {  # the scheduler, its entries, mu; the network's output is what the scheduler reads it as
    "sd15": ("DDIMScheduler", {"steps_offset": 1, "set_alpha_to_one": False, "clip_sample": False, **TABLE}, None),
    "sd2-v": ("DDIMScheduler", {"prediction_type": "v_prediction", "clip_sample": False, "timestep_spacing": "trailing", **TABLE}, None),
    "zero-snr": ("DDIMScheduler", {"prediction_type": "v_prediction", "clip_sample": False, "timestep_spacing": "trailing",
                                   "rescale_betas_zero_snr": True, **TABLE}, None),
    "cogvideox": ("CogVideoXDDIMScheduler", {"prediction_type": "v_prediction", "clip_sample": False,
                                             "timestep_spacing": "trailing"}, None),
    "sdxl": ("EulerDiscreteScheduler", {"steps_offset": 1, "timestep_spacing": "leading", **TABLE}, None),
    "karras": ("EulerDiscreteScheduler", {"steps_offset": 1, "timestep_spacing": "leading", "use_karras_sigmas": True, **TABLE}, None),
    "linspace": ("EulerDiscreteScheduler", TABLE, None),
    "svd": ("EulerDiscreteScheduler", {"timestep_type": "continuous", "prediction_type": "v_prediction", "use_karras_sigmas": True,
                                       "sigma_min": 0.002, "sigma_max": 700.0, **TABLE}, None),
    "edm": ("EDMEulerScheduler", {}, None),
    "playground": ("EDMEulerScheduler", {"sigma_max": 120.0, "sigma_data": 1.0, "prediction_type": "v_prediction"}, None),
    "sd3": ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0}, None),
    "flux": ("FlowMatchEulerDiscreteScheduler", {"use_dynamic_shifting": True, "shift": 3.0}, 1.15),
    "qwen": ("FlowMatchEulerDiscreteScheduler", {"use_dynamic_shifting": True, "shift_terminal": 0.02}, 0.7),
    "flow-beta": ("FlowMatchEulerDiscreteScheduler", {"use_beta_sigmas": True}, None),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_of_each_family_runs_as_diffusers_does(tmp_path, unet, family):
    """DDIM on the grid of a loaded folder against the scheduler's own first-order loop."""
    name, entries, mu = FAMILIES[family]
    scheduler = getattr(diffusers, name)(**entries)
    unet.save_pretrained(tmp_path)
    scheduler.save_pretrained(tmp_path / "scheduler")
    loaded = load(tmp_path)
    grid = loaded.grid(5, mu=mu)  # which divides 1000: else DDIMScheduler's steps do not join
    scheduler.set_timesteps(5, **({} if mu is None else {"mu": mu}))
    z = draw(2, 1, 8, 8)
    found = solve(DDIM(), loaded.model(), grid, z * float(grid.sigma[grid.n])).z
    keeps_y = hasattr(scheduler, "sigmas") and "FlowMatch" not in name
    sample = z * float(grid.sigma[grid.n] / (grid.alpha[grid.n] if keeps_y else 1))
    with torch.no_grad():
        for t in scheduler.timesteps:
            taken = scheduler.scale_model_input(sample, t) if hasattr(scheduler, "scale_model_input") else sample
            sample = scheduler.step(unet(taken, t).sample, t, sample).prev_sample
    assert size(found / float(grid.alpha[0]) * (1 if keeps_y else float(grid.alpha[0])) - sample) < 1e-5 * size(sample)


@pytest.mark.parametrize(
    ("name", "told"),
    [("SD3Transformer2DModel", 1000.0), ("FluxTransformer2DModel", 1.0), ("QwenImageTransformer2DModel", 1.0)],
)
def test_what_a_transformer_is_told(name, told):
    assert loading.told_scale(type(name, (), {})(), 1000.0) == told
    with pytest.raises(ValueError, match="'Lumina2Transformer2DModel': what this network is told"):
        loading.told_scale(type("Lumina2Transformer2DModel", (), {})(), 1000.0)


def test_a_transformer_that_predicts_a_variance():
    network = seeded(
        diffusers.DiTTransformer2DModel, num_attention_heads=2, attention_head_dim=4, in_channels=4, out_channels=8, num_layers=1,
        sample_size=8, patch_size=2, num_embeds_ada_norm=10, norm_num_groups=4,
    )  # fmt: skip
    z, y = draw(2, 4, 8, 8), torch.tensor([1, 2])
    found = NetworkModel(network, conditions={"class_labels": y})(z, 10)
    expected = network(z, timestep=torch.tensor([10, 10]), class_labels=y).sample
    assert found.shape == z.shape and torch.equal(found, expected[:, :4])


def test_guidance_is_what_two_calls_give(conditional):
    words, nothing, z = draw(2, 3, 6, seed=1), draw(2, 3, 6, seed=2), draw(2, 4, 8, 8)
    calls = []
    handle = conditional.register_forward_pre_hook(lambda module, arguments: calls.append(1))
    model = NetworkModel(
        conditional,
        conditions={"encoder_hidden_states": words},
        unconditional={"encoder_hidden_states": nothing},
        guidance=3.0,
    )
    found = model(z, 500)
    handle.remove()
    with torch.no_grad():
        one, two = (conditional(z, 500, encoder_hidden_states=e).sample for e in (words, nothing))
    assert len(calls) == 1
    # One batch of four and two of two round differently.
    assert size(found - (two + 3 * (one - two))) < 100 * UNIT * size(found) and size(found - one) > 1e-3
    for scale, expected in ((1.0, one), (0.0, two)):
        plain = NetworkModel(
            conditional, conditions=model.conditions, unconditional=model.unconditional, guidance=scale
        )
        assert torch.equal(plain(z, 500), expected)


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_residuals_of_a_controlnet(conditional, guidance):
    net = seeded(diffusers.ControlNetModel.from_unet, conditional, conditioning_embedding_out_channels=(4, 8))
    torch.manual_seed(1)
    for block in (
        *net.controlnet_down_blocks,
        net.controlnet_mid_block,
    ):  # which begin at zero, where they would do nothing
        torch.nn.init.normal_(block.weight)
    words, image, z = {"encoder_hidden_states": draw(2, 3, 6, seed=1)}, draw(2, 3, 16, 16, seed=3), draw(2, 4, 8, 8)
    nothing = {"encoder_hidden_states": torch.zeros(2, 3, 6)}

    def asked(words):
        down, mid = net(z, 500, controlnet_cond=image, conditioning_scale=0.5, return_dict=False, **words)
        return conditional(
            z, 500, **words, down_block_additional_residuals=down, mid_block_additional_residual=mid
        ).sample

    with torch.no_grad():
        one, two = asked(words), asked(nothing)
    control = controlled(net, image, scale=0.5)
    found = NetworkModel(conditional, conditions=words, unconditional=nothing, guidance=guidance, control=control)(
        z, 500
    )
    assert size(found - (two + guidance * (one - two))) < 100 * UNIT * size(found)
    assert size(found - NetworkModel(conditional, conditions=words)(z, 500)) > 1e-3


def test_edm_denoiser_against_its_own_loop(unet):
    """Karras et al., algorithm 1 without its correction and noise: x += (sigma' - sigma) (x - D)/sigma."""
    D = Preconditioned(unet, sigma_data=0.5)
    levels = [80.0, 9.0, 1.5, 0.3, 0.05, 0.0]
    z = 80 * draw(2, 1, 8, 8, dtype=torch.float64)
    x = z
    with torch.no_grad():
        for now, then in pairwise(levels):
            sigma = torch.full((2,), now, dtype=torch.float64)
            skip, out, scale = 0.25 / (now**2 + 0.25), now * 0.5 / (now**2 + 0.25) ** 0.5, 1 / (now**2 + 0.25) ** 0.5
            raw = unet((scale * x).float(), (sigma.log() / 4).float()).sample
            x = x + (then - now) * (x - (skip * x + out * raw)) / now
    grid = grids.from_timesteps(schedules.edm(), levels)
    found = solve(Euler(), denoiser(D), grid, z)
    # The network's own rounding, in float32, of inputs that differ in the last digits of float64.
    assert size(found.z - x) < 100 * UNIT * size(x)
    vp = schedules.ddpm_linear()
    on_vp, alpha, ratio = denoiser(D, vp), float(vp.alpha(300)), float(vp.sigma_bar(300))
    with torch.no_grad():
        expected = D(x / alpha, torch.full((2,), ratio, dtype=torch.float64))
    assert size(on_vp(x, 300) - expected) < 100 * UNIT * size(expected)


@pytest.mark.parametrize("schedule", [None, schedules.vp_linear()], ids=["EDM's", "another"])
def test_a_denoiser_on_a_grid_of_other_levels(schedule):
    """It would be asked at states and told levels that are not those of the grid."""
    model, own = denoiser(lambda x, sigma: x / 2, schedule), schedule or schedules.edm()
    z = draw(2, 1, 2, 2, dtype=torch.float64)
    for asked in (model, NetworkModel(lambda x, sigma: x / 2, levels=own), models.counted(model)):
        with pytest.raises(ValueError, match=r"model is of (EDM|VPLinear).*make both with one schedule"):
            solve(DDIM(), asked, grids.uniform(schedules.vp_cosine(), 4, t_max=0.9, t_min=0.1), z)
    grid = grids.uniform(own, 4, t_max=0.9, t_min=0.1)
    for same in (grid, grids.from_values(grid.t, grid.alpha, grid.sigma)):
        assert solve(DDIM(), model, same, z).status.ok


def test_a_loaded_network_on_a_grid_of_another_schedule():
    """It is told times of its own training, where another schedule has other noise levels; guided and counted models as well."""
    own, z = schedules.ddpm_linear(), draw(2, 1, 8, 8)
    loaded, network = Loaded(tiny_unet(), own, "eps"), tiny_unet()
    sd, continuous = schedules.stable_diffusion(), schedules.vp_linear()
    for model in (loaded.model(), models.counted(loaded.model()), models.guided(loaded.model(), loaded.model(), 2)):
        for other in (grids.leading(sd, 4), grids.uniform(continuous, 4, t_max=0.9, t_min=0.1), grids.trailing(sd, 1)):
            with pytest.raises(ValueError, match=r"model is of Discrete.*'linear'.*make both with one schedule"):
                solve(DDIM(), model, other, z)
    grid, told = grids.leading(own, 4), [0, 100, 500, 800]
    near = grids.from_timesteps(own, [800.4, 500.4, 100.4, 0])  # schedulers round its times to whole ones
    clean = grids.from_timesteps(own, [800, 500, 100], final_alpha=1)  # the end is not a time of a network
    for same in (
        grid,
        grids.asinh(own, 4),
        grids.from_values(grid.t, grid.alpha, grid.sigma),
        clean,
        grids.from_values(told, clean.alpha, clean.sigma),
        grids.from_values(told, near.alpha, near.sigma),
    ):
        assert solve(DDIM(), loaded.model(), same, z).status.ok
    off = grids.from_timesteps(own, [803, 503, 103, 0])  # three steps beside
    with pytest.raises(ValueError, match="make both with one schedule"):
        solve(DDIM(), loaded.model(), grids.from_values(told, off.alpha, off.sigma), z)
    # Told 1000 t, the same network is at home where t = 1 stands for step 1000.
    thousandth = grids.from_values(grid.t / 1000, grid.alpha, grid.sigma)
    assert solve(DDIM(), loaded.model(time_scale=1000.0), thousandth, z).status.ok
    with pytest.raises(ValueError, match="make both with one schedule"):
        solve(DDIM(), loaded.model(), thousandth, z)
    assert solve(DDIM(), NetworkModel(network), thousandth, z).status.ok  # of which nothing is known


def test_times_are_told_as_networks_take_them():
    x = draw(3, 1, 2, 2)
    assert (
        torch.equal(as_time(np.float64(999.0), x), torch.tensor([999, 999, 999])) and as_time(7, x).dtype == torch.int64
    )
    assert as_time(0.5, x).dtype == torch.float32 and as_time(1, x, 1000.0).tolist() == [1000.0] * 3
    assert as_time(0.1, x.double(), 1.0).dtype == torch.float64
    assert as_time(3, x.half(), 2.0).dtype == torch.float32


@pytest.mark.parametrize("state_dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_states_keep_their_dtype_whatever_the_network_has(unet, state_dtype):
    z = draw(2, 1, 8, 8).to(state_dtype)
    grid = grids.uniform(schedules.ddpm_linear(), 4, t_min=1)
    found = solve(BDIA(), NetworkModel(unet), grid, z)
    assert found.z.dtype == state_dtype
    back = invert(BDIA(), NetworkModel(unet), grid, found.state)
    if state_dtype == torch.float64:  # the inverse is exact in float64 although the network is not
        assert size(back.z - z) < 1e6 * torch.finfo(torch.float64).eps * size(z)


def test_autocast_and_memory_format(unet):
    z = draw(2, 1, 8, 8)
    plain = NetworkModel(unet)(z, 10)
    cast = NetworkModel(unet, autocast=torch.bfloat16)(z, 10)
    assert cast.dtype == torch.float32 and 0 < size(cast - plain) < 0.1 * size(plain)
    last = tiny_unet().to(memory_format=torch.channels_last)
    found = NetworkModel(last)(z.to(memory_format=torch.channels_last), 10)
    assert size(found - plain) < 100 * UNIT * size(plain)


def test_gradients_only_on_request(unet):
    z = draw(2, 1, 8, 8).requires_grad_()
    assert not NetworkModel(unet)(z, 10).requires_grad and NetworkModel(unet, gradients=True)(z, 10).requires_grad


class Compiled(torch.nn.Module):
    """What torch.compile gives: arguments by any name, and the module that it was made of."""

    def __init__(self, module):
        super().__init__()
        self._orig_mod = module

    def forward(self, *arguments, **options):
        return self._orig_mod(*arguments, **options)


def test_a_compiled_module_is_called_as_its_own(unet):
    z = draw(2, 1, 8, 8)
    assert torch.equal(NetworkModel(Compiled(unet))(z, 10), NetworkModel(unet)(z, 10))


@pytest.mark.slow
def test_a_network_under_torch_compile(unet):
    """Dynamo and the autograd tracer on a whole U-Net, in one graph, whose kernels are then torch's own: no bit differs.

    inductor, which compiles them to C++, is left out: on a CPU that takes minutes for this network.
    """
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()  # what other tests compiled in this process
    compiled = NetworkModel(torch.compile(tiny_unet(), backend="aot_eager", fullgraph=True))
    z, grid = draw(2, 1, 8, 8), grids.from_timesteps(schedules.ddpm_linear(), [999, 700, 400, 100, 1])
    found, plain = (solve(BDIA(), model, grid, z) for model in (compiled, NetworkModel(unet)))
    assert torch.equal(found.z, plain.z)
    there = invert(BDIA(), compiled, grid, found.state).z
    assert torch.equal(there, invert(BDIA(), NetworkModel(unet), grid, plain.state).z)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


def folder_of(path, network, **config):
    network.save_pretrained(path)
    (path / "scheduler").mkdir()
    entries = {
        "_class_name": "DDIMScheduler",
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    } | config
    (path / "scheduler" / "scheduler_config.json").write_text(json.dumps(entries), encoding="utf-8")
    return path


def test_a_folder_of_a_model(tmp_path, unet):
    loaded = load(folder_of(tmp_path / "model", unet), dtype=torch.float64)
    z = draw(2, 1, 8, 8, dtype=torch.float64)
    assert loaded.shape == (1, 8, 8) and loaded.prediction == "eps" and loaded.notes == ()
    assert size(loaded.model()(z, 5) - tiny_unet().double()(z, 5).sample) < 1e-10
    assert loaded.grid(10).timesteps.tolist() == [*range(901, 0, -100), 0]


@pytest.mark.parametrize("part", ["unet", "transformer"])
def test_a_folder_of_a_pipeline(tmp_path, unet, part):
    unet.save_pretrained(tmp_path / part)
    (tmp_path / "model_index.json").write_text(
        json.dumps({"_class_name": "X", part: ["diffusers", "UNet2DModel"]}), encoding="utf-8"
    )
    (tmp_path / "scheduler").mkdir()
    scheduler = diffusers.DDPMScheduler(prediction_type="v_prediction")
    scheduler.save_pretrained(tmp_path / "scheduler")
    with pytest.warns(UserWarning, match="clip_sample=True in scheduler_config.json is not applied.*set it to false"):
        loaded = load(tmp_path)
    assert loaded.prediction == "v" and len(loaded.notes) == 2 and loaded.altered == loaded.notes[:1]
    with pytest.raises(ValueError, match="has no other"):
        load(tmp_path, part="other")


class Denoiser(torch.nn.Module):
    """As EDM's: D(x, sigma, class_labels)."""

    img_channels, img_resolution = 1, 8

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, x, sigma, class_labels=None):
        return self.scale * x / (1 + sigma.reshape(-1, 1, 1, 1) ** 2)


def test_pickles_are_opened_only_on_request(tmp_path):
    path = tmp_path / "edm.pkl"
    path.write_bytes(pickle.dumps({"ema": Denoiser()}))
    with pytest.raises(ValueError, match="pass trust_pickle=True if"):
        load(path)
    with pytest.warns(UserWarning, match=r"edm.pkl is a pickle: its code is run"):
        loaded = load(path, trust_pickle=True)
    assert loaded.shape == (1, 8, 8) and isinstance(loaded.schedule, schedules.EDM)
    z = draw(2, 1, 8, 8)
    assert torch.equal(loaded.model()(z, 1.0), 0.25 * z)
    # D = z/(2(1 + t^2)): its ODE dz/dt = (z - D)/t has the closed form z ~ t^(1/2) (1 + t^2)^(1/4).
    grid = grids.karras(schedules.edm(), 400, t_max=80, t_min=0.01)
    found = solve(DDIM(), loaded.model(), grid, z.double())
    exact = z.double() * (0.01 / 80) ** 0.5 * ((1 + 1e-4) / (1 + 6400)) ** 0.25
    assert size(found.z - exact) < 0.02 * size(exact)


class Raising:
    """What raises as it is unpickled."""

    def __reduce__(self):
        return dict.__getitem__, ({}, "part")


def test_a_pickle_whose_code_fails(tmp_path):
    (tmp_path / "edm.pkl").write_bytes(pickle.dumps(Raising()))
    with pytest.raises(ValueError, match=r"edm.pkl' is not a readable pickle \(KeyError: 'part'\): download it again$"):
        load(tmp_path / "edm.pkl", trust_pickle=True)


def broken(path, unet, how):
    if how == "nothing":
        return path / "none"
    if how == "empty":
        (path / "x").mkdir()
        return path / "x"
    folder = folder_of(path / "model", unet)
    weights = folder / "diffusion_pytorch_model.safetensors"
    if how == "missing":
        weights.unlink()
    elif how in ("keys", "shapes", "nan"):
        content = safetensors.torch.load_file(weights)
        first = content.pop("conv_in.bias")
        other = {
            "keys": {},
            "shapes": {"conv_in.bias": first[:3].clone()},
            "nan": {"conv_in.bias": first * float("nan")},
        }
        safetensors.torch.save_file(content | other[how], weights)
    elif how in ("configuration", "class", "pipeline", "function"):
        written = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        named = {"class": "Nothing", "pipeline": "DiffusionPipeline", "function": "logging"}
        other = {"block_out_channels": [8]} if how == "configuration" else {"_class_name": named[how]}
        (folder / "config.json").write_text(json.dumps(written | other), encoding="utf-8")
    elif how == "list":
        (folder / "config.json").write_text("[]", encoding="utf-8")
    elif how == "index":
        (folder / "model_index.json").write_text('{"unet": ["diffusers"]}', encoding="utf-8")
    elif how == "file":
        return folder / "config.json"
    elif how == "null label":
        folder = folder_of(path / "labels", tiny_unet(num_class_embeds=3))
        (folder / "model_card.json").write_text('{"null_label": 9}', encoding="utf-8")
    elif how == "corrupt":
        weights.write_bytes(b"no weights")
    elif how == "short":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif how == "pickle":
        weights.unlink()
        torch.save(unet.state_dict(), folder / "diffusion_pytorch_model.bin")
    elif how == "no json":
        (folder / "config.json").write_text("{", encoding="utf-8")
    elif how == "no scheduler":
        (folder / "scheduler" / "scheduler_config.json").unlink()
    elif how == "prediction":
        (folder / "scheduler" / "scheduler_config.json").write_text(
            json.dumps({"prediction_type": "magic"}), encoding="utf-8"
        )
    return folder


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("nothing", "neither a folder here nor a repository|hub cannot be reached"),
        ("empty", "holds no diffusers model"),
        ("missing", "no weights in safetensors: download"),
        ("corrupt", "safetensors is truncated or corrupt .*download"),
        ("short", "safetensors is truncated or corrupt .*download"),
        ("pickle", r"model.bin is a pickle, which is never opened: .*safe_serialization=True"),
        ("keys", r"the weights lack conv_in.bias \(\d+ such\), .*of another network"),
        ("shapes", "make no UNet2DModel .*size mismatch for conv_in.bias"),
        ("nan", "conv_in.bias holds NaN or infinite values: download"),
        ("configuration", "make no UNet2DModel .*block_out_channels"),
        ("class", "_class_name='Nothing' in .* is not a model of diffusers"),
        ("pipeline", "_class_name='DiffusionPipeline' in .* is not a model of diffusers"),
        ("function", "_class_name='logging' in .* is not a model of diffusers"),
        ("list", "holds no object of JSON"),
        ("index", r"model_index.json has unet=\['diffusers'\], no pair of a library and a class: download it again"),
        ("file", "is a file: pass the folder"),
        ("null label", "null_label=9, as model_card.json or config.json records it, is not a label .* has 3"),
        ("no json", "is not JSON"),
        ("no scheduler", "what the network was trained for"),
        ("prediction", "prediction_type='magic'"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_one_line(tmp_path, unet, how, words):
    with pytest.raises(ValueError, match=words) as error:
        load(broken(tmp_path, unet, how))
    assert "\n" not in str(error.value)


def conditioned(**options):
    return NetworkModel(tiny_unet(num_class_embeds=3), conditions={"class_labels": torch.tensor([0, 1])}, **options)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda u: NetworkModel(None), TypeError, "not callable"),
        (lambda u: NetworkModel(u, "epsilon"), ValueError, "a word of diffusers' configurations: use eps"),
        (lambda u: NetworkModel(u, guidance=2.0), ValueError, "needs the unconditional branch"),
        (lambda u: NetworkModel(u)(draw(2, 3, 8, 8), 1), ValueError, r"takes \(batch, 1, height, width\)"),
        (lambda u: NetworkModel(u)(draw(2, 1, 8, 8).to("meta"), 1), ValueError, "z is on meta, the network on cpu"),
        (lambda u: conditioned(guidance=2.0, unconditional={})(draw(2, 1, 8, 8), 1), ValueError, "give both the same"),
        (
            lambda u: NetworkModel(u, guidance=2.0, conditions={"a": 1}, unconditional={"a": 2})(draw(2, 1, 8, 8), 1),
            ValueError,
            "only tensors may",
        ),
        (
            lambda u: Loaded(tiny_unet(num_class_embeds=3), schedules.edm(), "eps", null_label=2).model(),
            ValueError,
            "2 for none",
        ),
        (lambda u: Loaded(u, schedules.edm(), "v").model(prediction="eps"), ValueError, "trained to predict v"),
        (
            lambda u: Loaded(tiny_unet(num_class_embeds=3), schedules.edm(), "eps").model([0, 3]),
            ValueError,
            "labels 0 to 2",
        ),
        (lambda u: make_grid(schedules.ddpm_linear(), None, 5, "odd"), ValueError, "is unknown"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(unet, call, kind, words):
    with pytest.raises(kind, match=words) as error:
        call(unet)
    assert "\n" not in str(error.value)
