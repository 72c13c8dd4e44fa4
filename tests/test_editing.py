"""Editing of images through pipelines of each family, with random weights, and through the shipped network of digits."""

import functools
import json
import subprocess
import sys
import warnings
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("diffusers", reason="needs the extra torch")
pytest.importorskip("transformers", reason="the pipelines need transformers")
pytest.importorskip("matplotlib", reason="the photograph is matplotlib's")

import editing_pipelines as tiny  # noqa: E402
from diffusers import EDMEulerScheduler  # noqa: E402
from PIL import Image  # noqa: E402

from bdia_numerics import ALF, BDIA, DDIM, EDICT, Composed, McCallumFoster, grids, schedules, solve  # noqa: E402
from bdia_numerics.runs.stepwise import Solution, Status  # noqa: E402
from bdia_numerics.torch import editing, load  # noqa: E402
from bdia_numerics.torch.editing import Inversion, drawn, invert, psnr  # noqa: E402
from bdia_numerics.torch.editing.images import pixels  # noqa: E402
from bdia_numerics.torch.editing.methods import ByNullText  # noqa: E402
from bdia_numerics.torch.networks.sampling import latent_reference  # noqa: E402
from bdia_numerics.torch.schedulers import BDIAScheduler  # noqa: E402

torch.set_num_threads(1)


@functools.cache
def drawn_once(label, seed):
    return drawn(load(), label, seed)


@pytest.fixture(autouse=True)
def _drawn_once(monkeypatch):
    """Let commands take the digit that another one has drawn: a network takes longer for it than for most of what is tested."""
    monkeypatch.setattr(editing, "drawn", lambda network, label, seed: drawn_once(label, seed).clone())


def words(seed, *, pooled=False):
    """Return the embeddings of a prompt and of none."""
    return tiny.embeds(seed, pooled=pooled) | tiny.nothing(pooled=pooled)


def control(**more):
    return {"control_image": tiny.photograph(), **more}


FAMILIES = {
    "StableDiffusion": (tiny.stable, {}, [words(k) for k in range(4)]),
    "StableDiffusion, ControlNet": (
        lambda: tiny.stable(net=1),
        control(control_guidance_start=0.2, control_guidance_end=0.8),
        [words(k) for k in range(4)],
    ),
    "SDXL": (tiny.xl, {"guidance_rescale": 0.5}, [words(k, pooled=True) for k in range(4)]),
    "SD3": (tiny.sd3, {"guidance_scale": 3.0}, [words(k, pooled=True) for k in range(4)]),
    "Flux": (tiny.flux, {"strength": 0.7}, [tiny.embeds(k, pooled=True) for k in range(4)]),
    "DiT": (tiny.transformer, {"guidance_scale": 3.0}, [1, 2, 3, 4]),
}
SLOW = {
    "StableDiffusion, two ControlNets": (
        lambda: tiny.stable(net=2),
        {"control_image": [tiny.photograph(), tiny.photograph().flip(-1)], "control_guidance_start": [0.0, 0.5]},
        [words(k) for k in range(4)],
    ),
    "SDXL, EDM": (
        lambda: tiny.xl(scheduler=EDMEulerScheduler()),
        {},
        [words(k, pooled=True) for k in range(4)],
    ),
    "Flux without guidance": (lambda: tiny.flux(guidance=False), {}, [tiny.embeds(k, pooled=True) for k in range(4)]),
    "SDXL, ControlNet": (lambda: tiny.xl(net=True), control(strength=0.5), [words(k, pooled=True) for k in range(4)]),
}
CASES = [*FAMILIES.items(), *(pytest.param(*one, marks=pytest.mark.slow) for one in SLOW.items())]


@pytest.mark.parametrize(("family", "given"), CASES)
def test_a_family_returns_and_edits(family, given):
    """Every element of the latents comes back, and three prompts lead to three other images, each as alone."""
    make, options, (own, *others) = given
    pipe, key = make(), "labels" if family == "DiT" else "prompt"
    before = pipe.scheduler
    inv = invert(pipe, tiny.photograph(), **{key: own}, steps=6, **options)
    report = inv.report(repeats=False)
    assert (report.differing, report.elements, report.status) == (0, 4 * 8 * 8, "ok") and inv.exact
    assert report.nfe == inv.setting.grid.n and report.back_nfe == inv.setting.grid.n - 1
    # On Gaussian data of variance 1 the ODE itself keeps perturbations, and gamma = 1 nearly does. EDM's states grow with sigma, up to 80.
    assert 1 < report.amplification < (80 if family == "SDXL, EDM" else 1.2)
    # What the autoencoder loses no solver mends, and nothing besides is lost.
    assert report.image_error == pytest.approx(report.autoencoder_error, rel=1e-6) and report.image_error > 0.1
    edits = inv.edit(**{key: others})
    again = inv.edit(**{key: others[1]})
    psnrs = inv.report(edits=edits, reconstruction=inv.reconstruct(), repeats=False).psnr
    assert inv.report(edits=again, repeats=False).psnr == psnrs[1:2]
    assert torch.equal(edits[1].latents, again.latents)
    assert all(float(abs(one.latents - inv.data).max()) > 1e-3 for one in edits)
    assert len({float(one.latents.sum()) for one in edits}) == 3
    assert pipe.scheduler is before and edits[0].pil()[0].size == (32, 32)


def test_pixels_without_a_condition():
    """The image itself comes back, and there is nothing to edit by."""
    inv = invert(tiny.unconditional(), tiny.array(tiny.photograph(16)), steps=6)
    report = inv.report()
    assert "output of the network at one state: " in report.lines()[-1] and "with without" not in report.lines()[-1]
    assert (
        report.differing == 0
        and report.image_error < 1e-7
        and report.repeatability.probes["the same call"].differing == 0
    )
    assert report.nfe == 6 and report.amplification > 1 and report.latents_distance is None


@pytest.mark.parametrize("family", ["stable", "control", "flux", pytest.param("edm", marks=pytest.mark.slow)])
def test_a_run_is_that_of_the_pipeline_with_a_drop_in_scheduler(family):
    """The pipeline's own call makes the same latents: its windows of a ControlNet, its shift by the size, its scaling of samples."""
    makes = {"control": lambda: tiny.stable(net=1), "edm": lambda: tiny.xl(scheduler=EDMEulerScheduler())}
    pipe = makes.get(family, getattr(tiny, family, None))()
    options = control(control_guidance_end=0.5) if family == "control" else {}
    own = words(1, pooled=True) if family == "edm" else tiny.embeds(1, pooled=True) if family == "flux" else words(1)
    inv = invert(pipe, tiny.photograph(), own, steps=6, **options)
    there = solve(BDIA(), inv.setting.model(own, inv.guidance), inv.setting.grid, inv.latents)
    entries = {**pipe.scheduler.config, "_class_name": type(pipe.scheduler).__name__}
    pipe.scheduler = BDIAScheduler.from_config(entries)
    pipe.set_progress_bar_config(disable=True)
    if options:
        options["image"] = options.pop("control_image")[None].float()
    z = inv.latents.float()
    if family == "edm":
        z = z / float(EDMEulerScheduler().init_noise_sigma)
    if family == "flux":
        z, options = pipe._pack_latents(z, *z.shape), {"height": 32, "width": 32}
    found = pipe(**own, **options, latents=z, num_inference_steps=6, output_type="latent").images
    found = pipe._unpack_latents(found, 32, 32, 4) if family == "flux" else found
    largest = max(float(abs(found).max()), float(abs(inv.latents).max()))
    assert float(abs(there.z - found).max()) < 2e-5 * largest


def test_each_of_two_controlnets_looks_at_its_own_image():
    pipe, x = tiny.stable(net=2), tiny.photograph()
    other = x.flip(-1)
    found = [
        invert(pipe, x, words(1), steps=2, control_image=pair).latents for pair in ([x, x], [x, other], [other, x])
    ]
    assert not any(torch.equal(found[i], found[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize("make", [tiny.stable, tiny.sd3])
def test_latents_are_scaled_and_shifted_as_the_pipeline_has_them(make):
    """The mean of the autoencoder's distribution, less the shift, times the factor; and back."""
    pipe, x = make(), tiny.photograph()[None].float()
    config, own = pipe.vae.config, words(1, pooled=True) if make is tiny.sd3 else words(1)
    data = invert(pipe, x, own, steps=2).data
    mean = pipe.vae.encode(2 * x - 1).latent_dist.mode().detach()
    expected = (mean - (config.shift_factor or 0)) * config.scaling_factor
    assert torch.allclose(data.float(), expected, rtol=0, atol=1e-6)
    image = invert(pipe, x, own, steps=2).setting.pipe.codec.decode(data)
    shown = (pipe.vae.decode(mean).sample.detach() / 2 + 0.5).clamp(0, 1)
    assert torch.allclose(image.float(), shown, rtol=0, atol=1e-5)


def test_a_tiny_autoencoder_has_latents_and_no_distribution():
    from diffusers import AutoencoderTiny

    blocks = {"encoder_block_out_channels": (8, 8, 8), "decoder_block_out_channels": (8, 8, 8)}
    pipe = tiny.stable()
    pipe.vae = AutoencoderTiny(**blocks, num_encoder_blocks=(1, 1, 1), num_decoder_blocks=(1, 1, 1)).eval()
    inv = invert(pipe, tiny.photograph(), words(1), steps=3)
    with torch.no_grad():
        expected = pipe.vae.encode(2 * tiny.photograph()[None].float() - 1).latents
    assert torch.allclose(inv.data.float(), expected, rtol=0, atol=1e-6)
    assert torch.equal(inv.reconstruct().latents.float(), inv.data.float())


def test_the_network_is_told_no_time_before_the_first():
    told = []
    inv = invert(tiny.unconditional(), tiny.photograph(16), steps=4)
    assert float(inv.setting.grid.t[0]) == -1
    inv.setting.asked(lambda z, t: told.append(t) or z)(inv.latents, inv.setting.grid.t[0])
    assert told == [0]


@pytest.fixture(scope="module")
def digit():
    network = load()
    return network, drawn_once(3, 0)


@pytest.mark.filterwarnings("ignore:EDICT.*expect an error in one of 34 runs")
@pytest.mark.parametrize(
    ("solver", "exact", "evaluations"),
    [("ddim", False, 8), ("edict", True, 16), ("fixed-point", False, 8 * 11 + 8), ("edit-friendly", True, 8)],
)
def test_baselines(digit, solver, exact, evaluations, tmp_path):
    """On a trained network: what returns exactly does, and what iterates returns better than DDIM inversion."""
    inv = invert(*digit, labels=3, solver=solver, steps=8, guidance_scale=1.0)
    report = inv.report(repeats=False)
    assert (report.differing == 0) == exact and report.nfe <= evaluations
    least, most = {"ddim": (0.3, 2.0), "fixed-point": (1e-6, 0.1)}.get(solver, (-1.0, 1e-9))
    assert least < report.latents_error < most
    other = inv.edit(labels=8)
    assert float(abs(other.latents - inv.data).max()) > 0.1
    inv.save(tmp_path / "x.safetensors")
    again = Inversion.load(tmp_path / "x.safetensors", digit[0])
    assert torch.equal(again.edit(labels=8).latents, other.latents)


def test_null_text_fits_the_embedding_of_no_text():
    """Ten gradient steps a slot at most, which bring guided sampling nearer to the image than the embedding that they began from."""
    pipe, x = tiny.stable(), tiny.photograph()
    for name, value in pipe.unet.named_parameters():
        if "attn2.to_v" in name:
            value.data *= 10  # so that an untrained network heeds the text
    fitted = invert(pipe, x, words(1), solver="null-text", steps=8, guidance_scale=3.0)
    assert 8 * 4 < fitted.nfe <= 8 * 13
    plain = ByNullText(inner=0)
    unfitted = replace(fitted, way=plain, kept=plain.there(fitted.setting, fitted.data, words(1), 3.0, 0))
    errors = [inv.report(repeats=False).latents_error for inv in (fitted, unfitted)]
    assert errors[0] < 0.9 * errors[1]
    nulls = fitted.kept.parts["nulls"]
    assert nulls.shape == (8, 1, tiny.WORDS, tiny.WIDTH)
    assert not torch.equal(nulls[0], nulls[1]) and not nulls.requires_grad
    with pytest.raises(ValueError, match="null-text fits the one text embedding of StableDiffusionPipeline"):
        invert(tiny.xl(), x, words(1, pooled=True), solver="null-text", steps=2)


def test_a_run_that_begins_from_latents_alone_does_not_return(digit):
    """So what returns exactly is the state."""
    inv = invert(*digit, labels=3, steps=8)
    bare = replace(inv, kept=replace(inv.kept, state=None))
    assert inv.report(repeats=False).differing == 0 < bare.report(repeats=False).differing


def test_several_prompts_at_once_say_what_that_costs(digit):
    inv = invert(*digit, labels=3, steps=8)
    one_by_one = inv.edit(labels=[8, 5])
    with pytest.warns(UserWarning, match="the state has a batch of 1, this run one of 2"):
        at_once = inv.edit(labels=[8, 5], batched=True)
    for one, other in zip(one_by_one, at_once, strict=True):
        assert float(abs(one.latents - other.latents).max()) < 1e-3
        assert one.prompt == other.prompt
    with pytest.raises(ValueError, match="pass batched=False"):
        invert(*digit, labels=3, steps=4, solver="edit-friendly").edit(labels=[8, 5], batched=True)


def test_several_images_are_inverted_together(digit):
    network, x = digit
    inv = invert(network, [x, x.flip(-1)], labels=[3, 3], steps=6)
    assert inv.report(repeats=False).differing == 0 and inv.edit(labels=8).images.shape == (2, 1, 28, 28)


def test_a_report_of_images_with_a_negative_prompt_each(tmp_path):
    pipe = tiny.stable()
    tokenizer, encoder = tiny.reader(tmp_path)
    pipe.register_modules(tokenizer=tokenizer, text_encoder=encoder)
    inv = invert(pipe, [PHOTO, PHOTO.flip(-1)], ["a cat", "a dog"], steps=2, negative_prompt=["b", "c"])
    report = inv.report()
    assert report.differing == 0 and "the same call" in report.repeatability.probes


@pytest.mark.filterwarnings("ignore:the state has a batch of 2, this run one of 4")
def test_each_image_of_a_batch_has_its_own_prompt():
    """Labels of any kind of whole number, embeddings that a pipeline does not repeat, and prompts that cannot be joined."""
    x = tiny.photograph()
    inv = invert(tiny.transformer(), [x, x.flip(-1)], labels=1, steps=2)
    wanted = [np.int64(8), [5, 6]]
    for one, other in zip(inv.edit(labels=wanted, batched=True), inv.edit(labels=wanted), strict=True):
        assert float(abs(one.latents - other.latents).max()) < 1e-3
    inv = invert(tiny.sd3(), [x, x.flip(-1)], words(1, pooled=True), steps=2)
    alone = invert(tiny.sd3(), x.flip(-1), words(1, pooled=True), steps=2)
    assert float(abs(inv.latents[1:] - alone.latents).max()) < 1e-4 and inv.report(repeats=False).differing == 0
    for pair in ([words(2, pooled=True), tiny.embeds(3, pooled=True)], [{"prompt": "a"}, {"prompt": "b"}]):
        with pytest.raises(ValueError, match="batched=True joins texts, or mappings of the same keys"):
            inv.edit(pair, batched=True)


def test_a_batch_goes_on_from_its_file(tmp_path):
    """The autoencoder gives two images in another layout than a file does, in which the network rounds otherwise."""
    pipe, x = tiny.stable(), tiny.photograph()
    inv = invert(pipe, [x, x.flip(-1)], words(1), steps=2)
    inv.save(tmp_path / "x.safetensors")
    again = Inversion.load(tmp_path / "x.safetensors", pipe)
    assert torch.equal(again.reconstruct().latents, inv.reconstruct().latents)
    assert again.report(repeats=False).differing == 0


@pytest.mark.parametrize("solver", [McCallumFoster(), Composed(ALF("angle"))], ids=lambda s: type(s).__name__)
def test_solvers_of_solvers_have_files(solver, digit, tmp_path):
    inv = invert(*digit, labels=3, solver=solver, steps=2)
    inv.save(tmp_path / "x.safetensors")
    again = Inversion.load(tmp_path / "x.safetensors", digit[0])
    assert again.way == inv.way and torch.equal(again.reconstruct().latents, inv.reconstruct().latents)


@pytest.mark.parametrize("solver", ["bdia", "edit-friendly"])
def test_a_file_is_of_one_scheduler(solver, tmp_path):
    """A baseline keeps no State, which would say so."""
    inv = invert(tiny.stable(), tiny.photograph(), words(1), solver=solver, steps=2)
    inv.save(tmp_path / "x.safetensors")
    for other in ({"timestep_spacing": "trailing"}, {"prediction_type": "v_prediction"}):
        with pytest.raises(ValueError, match="made on other noise levels or with another prediction_type"):
            Inversion.load(tmp_path / "x.safetensors", tiny.stable(**other))


@pytest.mark.parametrize("family", ["sd3", "transformer"])
def test_a_pipeline_that_has_a_drop_in_scheduler_already(family):
    """Its network predicts what it did under the scheduler of its own."""
    pipe, given = getattr(tiny, family)(), {"steps": 2}
    given |= {"prompt": words(1, pooled=True)} if family == "sd3" else {"labels": 1}
    before = invert(pipe, tiny.photograph(), **given).latents
    pipe.scheduler = BDIAScheduler.from_config(pipe.scheduler.config)
    assert torch.equal(invert(pipe, tiny.photograph(), **given).latents, before)


def test_dequantised_images_come_back_and_round_to_their_bytes(digit):
    network, x = digit
    levels = torch.round(255 * x.double())
    inv = invert(network, (levels / 255), labels=3, steps=4, dequantise=True)
    moved = 255 * (inv.data.double() + 1) / 2 - levels
    assert 0.45 < float(abs(moved).max()) <= 0.5001
    # Cut to [0, 1], half of the black pixels would stay as flat as before.
    assert abs(float(moved[levels == 0].mean())) < 0.05 and float(moved[levels == 0].min()) < -0.4
    back = inv.reconstruct()
    assert torch.equal(back.latents.float(), inv.data.float()) and inv.report(repeats=False).image_error < 1e-7
    assert torch.equal(torch.round(255 * back.images), levels)


def test_the_least_noise_of_the_training_makes_latents_of_bytes_normal(digit):
    network, x = digit
    x = torch.round(255 * x.double()) / 255

    def kurtosis(dequantise):
        inv = invert(network, x, labels=3, steps=12, guidance_scale=1, grid="cut", solver=ALF(), dequantise=dequantise)
        z = inv.latents - inv.latents.mean()
        return inv, float((z**4).mean() / (z**2).mean() ** 2)

    (plain, before), (noisy, after) = kurtosis(False), kurtosis("noise")
    assert float((noisy.data - plain.data).std()) == pytest.approx(0.01, rel=0.1)
    assert abs(after - 3) < abs(before - 3) / 2
    with pytest.raises(ValueError, match="dequantise='levels' is unknown: use level"):
        invert(network, x, labels=3, steps=2, dequantise="levels")


def test_a_part_of_the_run_keeps_more(digit):
    distances = []
    for strength in (0.25, 0.75):
        inv = invert(*digit, labels=3, steps=8, strength=strength)
        assert inv.setting.grid.n == 8 * strength and inv.setting.grid.t[0] == 0
        assert inv.report(repeats=False).differing == 0
        distances.append(float((inv.edit(labels=8).latents - inv.data).square().mean()))
    assert distances[0] < distances[1] / 4


def test_one_step_of_two_registers_edits_nothing_and_says_so(digit):
    inv = invert(*digit, labels=3, steps=4, strength=0.25)
    with pytest.warns(UserWarning, match="the way back evaluates nothing.*: no prompt changes the image, take more"):
        assert inv.edit(labels=8).nfe == 0


def test_the_distance_of_latents_is_known_to_what_is_said():
    """On Gaussian data, whose flow is a scaling."""
    schedule, variance = schedules.ddpm_linear(), 0.25
    grid = grids.trailing(schedule, 10, final_alpha=None)

    def eps(z, t):
        alpha, sigma = (float(f(max(t, 0))) for f in (schedule.alpha, schedule.sigma))
        return z * sigma / (alpha**2 * variance + sigma**2)

    def away(grid):
        found = latent_reference(eps, grid, torch.tensor([[0.5, -1.0]], dtype=torch.float64), 24)
        begin, end = (grid.alpha[i] ** 2 * variance + grid.sigma[i] ** 2 for i in (0, -1))
        exact = torch.tensor([[0.5, -1.0]]) * (end / begin) ** 0.5
        return float((found.z - exact).square().mean().sqrt()), found.error

    distance, known = away(grid)
    assert distance < known < 2e-3
    # From clean data it begins by a step of the explicit inversion, beyond the times of training.
    assert away(grids.trailing(schedule, 10))[0] < 1e-3


def test_psnr_outside_a_mask():
    source = torch.zeros(1, 3, 4, 4)
    image = source.clone()
    image[..., 0] = 1
    mask = np.zeros((4, 4), np.uint8)
    assert psnr(image, source) == pytest.approx(10 * np.log10(4), rel=1e-5)
    mask[:, 0] = 255
    assert psnr(image, source, mask) == np.inf
    with pytest.raises(ValueError, match="mask is 2x2, the image 4x4"):
        psnr(image, source, np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match=r"mask has values up to 0.0039, and nothing is inside it: .* 255"):
        psnr(image, source, mask // 255)
    assert psnr(image, source, 0 * mask) == psnr(image, source)
    with pytest.raises(ValueError, match="mask has 2 images, and the source 1: pass one for all"):
        psnr(image, source, [mask, mask])
    with pytest.raises(ValueError, match=r"image has shape \(2, 3, 4, 4\), the source \(1, 3, 4, 4\)"):
        psnr(image.repeat(2, 1, 1, 1), source)


FRESH = """
import sys
import torch
torch.set_num_threads(1)
import editing_pipelines as tiny
from bdia_numerics.torch.editing import Inversion

inv = Inversion.load(sys.argv[1], tiny.stable(net=1))
torch.save([inv.reconstruct().latents, inv.edit(torch.load(sys.argv[2])).latents], sys.argv[3])
"""


@pytest.mark.parametrize("fresh", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_file_goes_on_where_the_inversion_stands(fresh, tmp_path):
    pipe = tiny.stable(net=1)
    inv = invert(
        pipe, tiny.photograph(), words(1), solver=BDIA(Fraction(24, 25)), steps=4, strength=0.75,
        **control(control_guidance_end=0.5),
    )  # fmt: skip
    here, path = [inv.reconstruct().latents, inv.edit(words(2)).latents], tmp_path / "x.safetensors"
    inv.save(path)
    if fresh:
        torch.save(words(2), tmp_path / "words.pt")
        files = [str(path), str(tmp_path / "words.pt"), str(tmp_path / "found.pt")]
        done = subprocess.run(
            [sys.executable, "-c", FRESH, *files], cwd="tests", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        there = torch.load(tmp_path / "found.pt")
    else:
        again = Inversion.load(path, pipe)
        there = [again.reconstruct().latents, again.edit(words(2)).latents]
        assert again.way == inv.way and again.guidance == inv.guidance
    assert all(torch.equal(one, other) for one, other in zip(here, there, strict=True))
    torch.manual_seed(5)
    for part in (pipe.unet, pipe.controlnet, pipe.vae):
        weight = next(part.parameters())
        before = weight.detach().clone()
        weight.data.view(-1)[-1] += 1  # what adds an adapter or retrains a part may leave the first values as they are
        with pytest.raises(ValueError, match="made with other weights"):
            Inversion.load(path, pipe)
        weight.data = before
    assert Inversion.load(path, pipe).exact
    with pytest.raises(ValueError, match="there is not a folder"):
        inv.save(tmp_path / "nowhere" / "x.safetensors")
    whole = path.read_bytes()
    for damaged in (
        whole[:-1] + bytes([whole[-1] ^ 1]),  # a bit of a tensor
        whole.replace(b'\\"guidance\\": 7', b'\\"guidance\\": 5', 1),
    ):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged, its parts are not those that were saved"):
            Inversion.load(path, pipe)
    path.write_bytes(whole.replace(b'\\"checksum\\"', b'\\"checknum\\"', 1))
    with pytest.raises(ValueError, match="holds a part of an inversion, without 'checksum'"):
        Inversion.load(path, pipe)
    path.write_bytes(whole[:100])
    with pytest.raises(ValueError, match="holds no inversion"):
        Inversion.load(path, pipe)


def test_a_file_knows_complex_weights(tmp_path):
    pipe, path = tiny.unconditional(), tmp_path / "x.safetensors"
    phase = torch.nn.Parameter(torch.randn(20, dtype=torch.complex64))
    pipe.unet.conv_out.register_parameter("phase", phase)
    invert(pipe, tiny.photograph(16), steps=2).save(path)
    assert Inversion.load(path, pipe).exact
    phase.data[-1] = phase.data[-1].conj()  # the imaginary part alone, behind the values that are read themselves
    with pytest.raises(ValueError, match="made with other weights"):
        Inversion.load(path, pipe)


def test_pictures_are_read_as_they_are_shown(tmp_path, monkeypatch):
    """Bytes in tensors are bytes, transparency is no grey, and what a camera noted of its position is heeded."""
    x = tiny.array(tiny.photograph())
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(x[::-1, ::-1].copy()).save(tmp_path / "x.png", exif=exif)
    for given in (tmp_path / "x.png", torch.from_numpy(x).permute(2, 0, 1), Image.fromarray(x)):
        assert torch.equal(
            pixels("image", given, 3)[0], torch.from_numpy(x).permute(2, 0, 1) / torch.tensor(255.0).double()
        )
    with pytest.raises(ValueError, match="image has 2 channels: pass an image of 1"):
        pixels("image", x[..., :2], 1)
    grey = pixels("image", x, 1)
    assert (
        float((255 * grey - 255 * pixels("image", Image.fromarray(x), 1)).abs().max()) <= 0.51
    )  # as a picture's bytes
    assert float(pixels("image", torch.ones(3, 9, 9), 1).max()) == 1
    cut = Image.fromarray(np.dstack([x, np.full(x.shape[:2], 255, np.uint8)]))
    assert torch.equal(pixels("image", cut, 3), pixels("image", x, 3))
    cut.putpixel((0, 0), (9, 9, 9, 0))
    for given in (cut, cut.convert("LA")):
        with pytest.raises(ValueError, match="image has transparent parts: lay it on a background"):
            pixels("image", given, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"image='.*x.png' has more pixels than a network can take"):
        pixels("image", tmp_path / "x.png", 3)


def missing(pipe, part):
    setattr(pipe, part, None)
    return pipe


PHOTO = tiny.photograph()
REFUSED = [
    (object, {}, "pipe is a object, whose encoding of images"),
    (tiny.stable, {"image": PHOTO[:, :30]}, "image is 32x30, and StableDiffusionPipeline takes sides that 4 divides: resize it to 32x32"),
    (tiny.stable, {"image": "no.png"}, "image='no.png': there is no such file"),
    (tiny.stable, {"image": __file__}, "is not a picture"),
    (tiny.stable, {"image": 2 * PHOTO}, "image has values from .* pass bytes, or floats from 0 to 1"),
    (tiny.stable, {"image": 3}, "image is a int"),
    (tiny.stable, {"image": torch.cat([PHOTO, PHOTO[:1]])}, "image has 4 channels: pass an image of 3"),
    (tiny.stable, {"image": Image.fromarray(np.zeros((32, 32), np.uint16))}, "image is a picture of mode I;16, .* convert it to 8 bits"),
    (tiny.stable, {"guidance_scale": float("nan")}, "guidance_scale=nan"),
    (tiny.stable, {"guidance_scale": 0.5}, "guidance_scale=0.5 acts as 1 in StableDiffusionPipeline"),
    (tiny.stable, {"solver": "null-text", "guidance_scale": 3.0, "guidance_rescale": 0.5}, "guidance_rescale changes the way back"),
    (
        tiny.stable,
        {"image": [PHOTO] * 2, "prompt": {key: torch.cat([value] * 3) for key, value in words(1).items()}},
        "prompts are 3, and the images 2",
    ),
    (tiny.transformer, {"prompt": None, "labels": [1, 2]}, "labels are 2, and the images 1: pass one for all"),
    (tiny.transformer, {"prompt": None, "labels": 1.5}, "labels=1.5 are not whole numbers"),
    (tiny.stable, {"image": [PHOTO, PHOTO[:, :16]]}, "images of sizes 32x32, 32x16"),
    (tiny.stable, {"steps": 0}, "steps=0: give 1 or more"),
    (tiny.stable, {"strength": 1.5}, r"strength=1.5 is not in \(0, 1\]"),
    (tiny.stable, {"strength": None}, "strength=None is not a number"),
    (tiny.stable, {"strength": 0.1}, "strength=0.1 of 4 steps is not one step"),
    (tiny.stable, {"control_image": PHOTO}, "control_image= needs a ControlNet, and StableDiffusionPipeline has none"),
    (lambda: tiny.stable(net=1), {}, "control_image has 0 images, and StableDiffusionControlNetPipeline 1 ControlNets"),
    (lambda: tiny.stable(net=1), {"control_image": PHOTO[:, :16]}, "control_image is 32x16, and the image 32x32"),
    (
        lambda: tiny.stable(net=1),
        {"image": [PHOTO] * 2, "control_image": torch.stack([PHOTO] * 2)},
        "control_image is a batch of 2, and the prompts are 1",
    ),
    (tiny.stable, {"prompt": "a cat"}, "has no tokenizer, which a text needs"),
    (tiny.stable, {"prompt": 3}, "prompt=3 is not a text"),
    (tiny.stable, {"labels": 3}, "labels=3: this pipeline takes prompt= instead"),
    (tiny.transformer, {}, "prompt=.* this network takes labels= instead"),
    (tiny.transformer, {"prompt": None, "labels": 11}, "this network has the labels 0 to 10"),
    (tiny.transformer, {"prompt": None, "labels": 1, "image": PHOTO[:, :16]}, "image is 32x16, and the network takes 32x32"),
    (tiny.stable, {"num_inference_steps": 3}, "num_inference_steps= is not taken: steps= decides it"),
    (tiny.stable, {"callback_on_step_end": print}, "a callback may change the latents"),
    (tiny.stable, {"eta": 0.5}, "eta=0.5 adds noise"),
    (tiny.stable, {"guidence": 3}, "guidence= is not an argument of StableDiffusionPipeline"),
    (lambda: missing(tiny.stable(), "vae"), {}, "StableDiffusionPipeline has no vae"),
    (lambda: missing(tiny.stable(), "unet"), {}, "StableDiffusionPipeline has no unet or transformer"),
    (tiny.stable, {"solver": "bdai"}, "BDIA"),
    (tiny.stable, {"solver": BDIA(0)}, "gamma"),
    (tiny.stable, {"grid": "odd"}, "odd"),
    pytest.param(tiny.stable, {"prompt": words(1) | {"promt": 3}}, "promt= is not an argument of Stable", id="prompt's entries"),
    (tiny.stable, {"prompt": words(1) | {"guidance_scale": 3}}, "guidance_scale= is not taken: guidance_scale= of invert"),
    (tiny.stable, {"prompt": words(1) | {"eta": 1.0}}, "eta=1.0 adds noise"),
    (tiny.stable, {"prompt": {"prompt_embeds": torch.zeros(1, 5, 9)}, "guidance_scale": 1}, "cannot be called .* embeddings in float32"),
    (tiny.flux, {"true_cfg_scale": "a"}, "true_cfg_scale=a is not a number"),
    (tiny.stable, {"negative_prompt": 3}, "negative_prompt=3 is not a text: pass one, or a list"),
    (tiny.stable, {"negative_prompt": ["a", "b"]}, "negative_prompt=.* are 2, and the prompts are 1"),
    pytest.param(lambda: tiny.stable(net=1), control(control_guidance_start=0.9, control_guidance_end=0.2), "that rise", id="window"),
    (lambda: tiny.stable(net=1), control(control_guidance_end=[0.2, 0.3]), "control_guidance_end has 2 numbers for 1 ControlNets"),
    (lambda: tiny.stable(net=1), control(control_guidance_end="a"), "control_guidance_end=a is not a number"),
    pytest.param(tiny.flux, {"prompt": words(1, pooled=True)}, "negative_prompt_embeds= does nothing .* above 1", id="unguided"),
    (lambda: tiny.flux(guidance=False), {"prompt": tiny.embeds(1, pooled=True), "guidance_scale": 2}, "guidance_scale=2 does nothing"),
    (tiny.stable, {"generator": "a"}, "generator's seed=a is not a whole number"),
    (tiny.stable, {"generator": [torch.Generator()]}, "generator's seed=.* is not a whole number"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "changed", "said"), REFUSED)
def test_what_cannot_be_done_is_said_in_one_line(make, changed, said):
    given = {"image": PHOTO, "prompt": words(1), "steps": 4} | changed
    with pytest.raises((ValueError, TypeError), match=said) as refused:
        invert(make(), given.pop("image"), given.pop("prompt"), **given)
    assert "\n" not in str(refused.value)


def test_a_pipeline_of_images_is_told_its_pipeline_of_texts():
    from diffusers import StableDiffusionImg2ImgPipeline

    pipe = tiny.stable()
    other = StableDiffusionImg2ImgPipeline(**pipe.components, requires_safety_checker=False)
    with pytest.raises(ValueError, match=r"pass StableDiffusionPipeline.from_pipe\(pipe\)"):
        invert(other, PHOTO, words(1))


def test_a_gamma_that_explodes_is_said_before_the_run(digit):
    with pytest.warns(UserWarning, match="multiplies errors by .* take gamma nearer to 1"):
        report = invert(*digit, labels=3, solver=BDIA(0.5), steps=40).report(repeats=False)
    assert report.std > 100


def test_out_of_memory_is_said_with_the_batch(monkeypatch):
    pipe = tiny.stable()

    def too_large(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(pipe.unet, "forward", too_large)
    with pytest.raises(torch.OutOfMemoryError, match="out of memory on cpu at states of shape"):
        invert(pipe, PHOTO, words(1), steps=2)


def test_methods_beside_solvers(digit):
    """A method takes the place of the derived inverse, and a baseline that has its own takes none."""
    from bdia_numerics.runs.inversion import DDIMInversion

    inv = invert(*digit, labels=3, solver=DDIM(), method=DDIMInversion(at_target=False), steps=4)
    assert inv.kept.inversion == "DDIM inversion (23)" and not inv.exact and inv.state is None
    assert invert(*digit, labels=3, solver="DDIM by (23)", steps=4).kept.inversion == "DDIM inversion (23)"
    with pytest.raises(ValueError, match="leave method out"):
        invert(*digit, labels=3, solver="aidi", method=DDIMInversion(), steps=4)


def test_half_precision_returns_in_every_element(digit):
    """The registers are wide, and the network is evaluated at their rounding."""
    network = load(dtype=torch.bfloat16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inv = invert(network, digit[1], labels=3, solver=EDICT(), steps=8)
    assert inv.latents.dtype == torch.float64 and inv.report(repeats=False).differing == 0


def invoked(*arguments):
    from typer.testing import CliRunner

    from bdia_numerics.cli import app

    return CliRunner().invoke(app, ["edit", *map(str, arguments)])


def test_the_command_edits_a_digit_without_arguments(tmp_path, monkeypatch):
    """It writes a sheet in which nothing overlaps, and says what returned."""
    import matplotlib.image

    monkeypatch.chdir(tmp_path)
    found = invoked("--steps", 6, "--baselines", "ddim", "--fine", 4, "--json")
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    bdia, ddim = told["methods"]
    assert told["source"] == 3 and told["wanted"] == [8, 5] and told["guidance"] == 2
    assert bdia["differing"] == 0 < ddim["differing"] and bdia["latents_uncertainty"] > 0
    assert bdia["read"][:2] == [3, 3] and len(bdia["psnr"]) == 2
    assert matplotlib.image.imread(tmp_path / "edited.png").shape[1] > 600
    lines = invoked("--steps", 2, "--source-prompt", 3, "--prompt", 9, "--figure", "nine.png").stdout.splitlines()
    assert lines[0] == "mnist: 3 to 9, 2 steps, guidance 2, float32" and lines[-1] == "sheet: nine.png"
    assert "  reconstruction: all 784 elements of the latents are equal" in lines


def test_an_edit_that_is_not_finite_is_no_image(digit, monkeypatch, tmp_path):
    def failing(inv, *, labels):
        return inv._run(inv.kept, labels, 1e30)

    class White:
        def back(self, setting, kept, condition, guidance):
            setting.evaluations += 1
            return Solution(torch.full_like(kept.z, torch.inf), None, 1, Status(False, 1, "z"))

    edit = replace(invert(*digit, labels=3, steps=4), way=White()).reconstruct()
    assert edit.images.isnan().all()
    with pytest.raises(ValueError, match="no image came back, register z is not finite after slot i=1: take"):
        edit.pil()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Inversion, "edit", failing)
    found = invoked("--steps", 4)
    assert found.exit_code == 1 and "edit 1: is not finite" in found.stdout
    assert "the classifier reads 3, 3, nothing, nothing" in found.stdout


def test_the_words_of_a_sheet_lie_apart():
    from figure_checks import faults

    from bdia_numerics.plots.pictures import edits
    from bdia_numerics.torch.editing.methods import BASELINES, title_of

    image = tiny.photograph().permute(1, 2, 0).numpy()
    heads = ["source", "reconstruction", "as a portrait of a sailor, oil on canvas", "as label 5"]
    rows = [title_of(text) for text in ["bdia:gamma=0.96,allow_any=true", "DDIM by (23)", *BASELINES]]
    assert rows[:3] == ["BDIA, gamma=0.96,allow_any=true", "DDIM by (23)", "DDIM inversion"] and rows[5] == "EDICT"
    behind = ["latents return with an\nRMS error of 1.2e+03\n1000 evaluations there,\n1000 back"] * len(rows)
    figure = edits([[image] * 4] * len(rows), rows, heads, behind, "Inverted under 3", "40 steps")
    assert not faults(figure)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "IMAGE is missing"),
        (["nowhere", "x.png"], "PIPELINE='nowhere' cannot be loaded as a pipeline"),
        (["--figure", "x.gif"], "end its name"),
        (["--save", "x.npz"], "end its name"),
        (["--source-prompt", "three"], "--source-prompt=three is not a whole number"),
        (["--prompt", "12"], "labels=[12]: this network has the labels 0 to 10"),
        (["--baselines", "null-text"], "null-text fits the one text embedding"),
        (["--baselines", "dimm"], "DDIM"),
        (["--control", "x.png"], "control_image= needs a ControlNet"),
        (["--controlnet", "x"], "controlnet='x' steers a pipeline of a text"),
        (["--fine", "2"], "slots=2: pass 4 or more"),
        (["--dtype", "float8"], "float8"),
        (["--guidance", "inf"], "guidance"),
        (["--mask", "none.png"], "mask='none.png': there is no such file"),
    ],
)
def test_the_command_refuses_in_one_line(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = invoked(*words, "--steps", 2)
    assert found.exit_code == 2 and said in found.stderr and found.stderr.count("\n") == 1, found.output


@pytest.mark.slow
def test_the_command_edits_a_photograph_through_folders_of_a_pipeline_and_a_controlnet(tmp_path, monkeypatch):
    """Texts, a negative prompt, a ControlNet and a mask; the inversion is kept, and goes on from its file."""
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    pipe = tiny.stable()
    tokenizer, encoder = tiny.reader(tmp_path)
    pipe.register_modules(tokenizer=tokenizer, text_encoder=encoder)
    pipe.save_pretrained("pipeline")
    tiny.controlnet(pipe.unet).save_pretrained("net")
    Image.fromarray(tiny.array(tiny.photograph())).save("photo.png")
    Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save("mask.png")
    given = [
        "pipeline",
        "photo.png",
        "--source-prompt",
        "a woman",
        "--prompt",
        "a cat",
        "--prompt",
        "a dog",
        "--steps",
        4,
    ]
    plain = json.loads(invoked(*given, "--baselines", "null-text", "--save", "kept.safetensors", "--json").stdout)
    assert [row["differing"] == 0 for row in plain["methods"]] == [True, False] and len(
        plain["methods"][0]["psnr"]
    ) == 2
    steered = [
        *given,
        "--controlnet",
        "net",
        "--control",
        "photo.png",
        "--negative-prompt",
        "blur",
        "--mask",
        "mask.png",
    ]
    found = invoked(*steered, "--guidance", 4, "--json")
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert told["guidance"] == 4 and told["methods"][0]["differing"] == 0
    assert told["methods"][0]["psnr"] != plain["methods"][0]["psnr"]
    again = Inversion.load("kept.safetensors", pipe)
    assert again.report(repeats=False).differing == 0 and again.condition == "a woman"
    with pytest.warns(UserWarning, match="this run one of 2"):
        one, other = again.edit(["a cat", "a dog"], batched=True)
    assert not torch.equal(one.latents, other.latents)
    absent = invoked("pipeline", "photo.png", "--controlnet", "nowhere")
    assert absent.exit_code == 2 and "PIPELINE='nowhere' cannot be loaded" in absent.stderr


def test_a_prompt_is_a_line_of_its_file(tmp_path):
    from bdia_numerics.torch.editing.pipelines import read_prompts

    (tmp_path / "x.txt").write_bytes("\ufeffa cat\u2028asleep\r\n\n dogs \n".encode())
    assert read_prompts(tmp_path / "x.txt") == ["a cat\u2028asleep", "dogs"]
