"""Uses of the schedulers that would be silently another run: each raises, is said as a warning, or does what was meant."""

import copy
import math
import pickle
import re

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
pytest.importorskip("diffusers", reason="needs the extra torch")

from diffusers.pipelines.deepfloyd_if import fast27_timesteps  # noqa: E402
from test_schedulers import CASES, SAMPLE, STABLE, UNIT, grid_of, loop, made, model  # noqa: E402

from bdia_numerics import DDIM, grids, schedules, solve  # noqa: E402
from bdia_numerics.torch import tensors  # noqa: E402
from bdia_numerics.torch.schedulers import BDIAInverseScheduler, BDIAScheduler, EDICTInverseScheduler  # noqa: E402

pytestmark = pytest.mark.filterwarnings(r"ignore:OBELM\(.*\) on these 8 slots multiplies errors by")
EPS = UNIT[torch.float64]


def pair(case="bdia", steps=8, **config):
    """Return a sampler that starts from the State of an inverse, and the latents."""
    sampler, inverse = made(case, **STABLE, **config)
    inverse.set_timesteps(steps)
    z = loop(inverse, SAMPLE)
    sampler.start_from(inverse.state)
    sampler.set_timesteps(steps)
    return sampler, inverse, z


def unasked(scheduler, z):
    """A loop that leaves scale_model_input out, as that of DDIMPipeline."""
    for t in scheduler.timesteps:
        z = scheduler.step(model(z, t), t, z).prev_sample
    return z


@pytest.mark.parametrize("case", ["bdia", "bdia 9/10", "obelm", "edict"])
def test_a_run_from_a_state_needs_scale_model_input(case):
    sampler, _, z = pair(case)
    with pytest.raises(ValueError, match=re.escape("evaluate it at scheduler.scale_model_input(sample, t)")):
        unasked(sampler, z)
    assert float(abs(loop(sampler, z) - SAMPLE).max()) < 300 * EPS  # what was refused has changed nothing
    # Where the register is passed at which the model is to be asked, there is nothing to scale.
    sampler.set_timesteps(8)
    asked = sampler.scale_model_input(z, sampler.timesteps[0])
    sampler.set_timesteps(8)
    assert float(abs(unasked(sampler, asked) - SAMPLE).max()) < 300 * EPS


@pytest.mark.parametrize(
    ("case", "steps"), [*((case, 1) for case in CASES if case != "bdia2"), ("bdia2", 2), ("bdia2", 3)]
)
def test_few_steps_return_the_image(case, steps):
    """Of as many slots as the start takes, a State holds the end; a loop has to make a step to be handed it."""
    sampler, inverse, z = pair(case, steps)
    back = loop(sampler, z)
    assert len(sampler.timesteps) >= 1 and sampler.step_index == len(sampler.timesteps)
    assert float(abs(back - SAMPLE).max()) < 30 * EPS and not torch.allclose(z, SAMPLE, rtol=0, atol=1e-3)
    inverse.start_from(sampler.state)
    inverse.set_timesteps(steps)
    assert float(abs(loop(inverse, back) - z).max()) < 30 * EPS
    with pytest.raises(ValueError, match=r"all \d steps are made"):
        inverse.step(z, 1, z)


def first_step(scheduler, steps):
    scheduler.set_timesteps(steps)
    t = scheduler.timesteps[0]
    scheduler.step(model(SAMPLE.float(), t), t, SAMPLE.float())


def test_an_inverse_that_makes_useless_latents_says_so_at_its_first_step():
    inverse = BDIAInverseScheduler(gamma=0.5, **STABLE)
    words = r"BDIA\(.*40 slots multiplies errors by 7e\+12 .* wrong by (\S+) times their size: take gamma nearer to 1, or fewer steps"
    with pytest.warns(UserWarning, match=words) as said:
        first_step(inverse, 40)
    inverse.set_timesteps(40)
    with pytest.warns(UserWarning, match=words):
        size = float(loop(inverse, SAMPLE.float()).std())
    predicted = float(re.search(words, str(said[0].message))[1])
    assert len(said) == 1 and size > 1e6 and size / 300 < predicted < 300 * size
    for good in (*(BDIAInverseScheduler(gamma=g, **STABLE) for g in (1, 0.96, 0.92)), EDICTInverseScheduler(**STABLE)):
        first_step(good, 50)
    with pytest.warns(UserWarning, match="take p nearer to 1"):
        first_step(EDICTInverseScheduler(**STABLE), 100)
    zero = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}
    first_step(BDIAInverseScheduler(**zero), 20)
    with pytest.warns(UserWarning, match="on these 39 slots multiplies"):
        first_step(BDIAInverseScheduler(gamma=0.5, **zero), 40)


@pytest.mark.parametrize("gamma", [1.0, 0.0])
@pytest.mark.parametrize("one", [True, False])
def test_published_times_that_end_in_0(one, gamma):
    """The lists of DeepFloyd's pipelines do; where the data end is t = 0 itself, the slot without length is left out."""
    scheduler = BDIAScheduler(gamma=gamma, set_alpha_to_one=one, clip_sample=False)
    scheduler.set_timesteps(timesteps=fast27_timesteps)
    kept = fast27_timesteps if one or not gamma else fast27_timesteps[:-1]
    assert scheduler.timesteps.tolist() == kept and scheduler.num_inference_steps == 27
    schedule = schedules.from_alphas_cumprod(scheduler.alphas_cumprod.double().numpy())
    grid = grids.from_timesteps(schedule, fast27_timesteps, final_alpha=1 if one else None)
    # gamma = 0 walks on the times that it is given, not at T//S from each.
    expected = solve(scheduler.solver if gamma else DDIM(), model, grid, SAMPLE).z
    assert torch.allclose(loop(scheduler, SAMPLE), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("number", "times", "words"),
    [
        (5, [900, 500, 100], "num_inference_steps=5, but timesteps has 3: leave num_inference_steps out"),
        (None, [900, 499.5, 100], r"timesteps has 499\.5, which is not a training step"),
        (None, [float("nan"), 100], "timesteps has nan, which is not a training step"),
        (None, [0], r"timesteps=\[0\] has no slot"),
    ],
)
@pytest.mark.parametrize("gamma", [1.0, 0.0])
def test_lists_of_times_that_are_refused(number, times, words, gamma):
    scheduler = BDIAScheduler(gamma=gamma, set_alpha_to_one=False)
    with pytest.raises(ValueError, match=words):
        scheduler.set_timesteps(number, timesteps=times)


def test_times_of_other_types():
    scheduler = BDIAScheduler(gamma=0.0)
    for times in ([900.0, 500, 100], torch.tensor([900, 500, 100]), torch.tensor([900.0, 500.0, 100.0])):
        scheduler.set_timesteps(3, timesteps=times)
        assert scheduler.timesteps.tolist() == [900, 500, 100]
    with pytest.raises(ValueError, match=r"timestep=500\.7 is not a training step"):
        scheduler.step(SAMPLE, 500.7, SAMPLE)


def test_a_state_of_one_serves_a_batch():
    """A model that treats each state alone gives the very bits; that a network need not is said, with the size."""
    _, inverse, z = pair()
    one, both = BDIAScheduler(**STABLE), inverse.state
    inverse.start_from(None)
    inverse.set_timesteps(8)
    single = loop(inverse, SAMPLE[:1])
    one.start_from(inverse.state)
    for batch in (1, 4):
        one.set_timesteps(8)
        if batch == 1:
            found = loop(one, single)
        else:
            with pytest.warns(UserWarning, match="batch of 1, this run one of 4, .* expect an error of .e-1"):
                found = loop(one, single.repeat(batch, 1, 1, 1))
        assert torch.equal(found, found[:1].expand_as(found)) and float(abs(found - SAMPLE[:1]).max()) < 300 * EPS
    one.start_from(both)
    one.set_timesteps(8)
    with pytest.raises(ValueError, match=r"sample has shape \(3, 3, 4, 4\), the state \(2, 3, 4, 4\)"):
        loop(one, z[[0, 1, 0]])
    with pytest.raises(ValueError, match="sample is not a register of the state"):
        loop(one, z.repeat_interleave(2, dim=0))


def test_a_sample_that_is_not_handed_on():
    scheduler = BDIAScheduler(**STABLE)
    scheduler.set_timesteps(8)
    first, second = scheduler.timesteps[:2]
    z = scheduler.step(model(SAMPLE, first), first, SAMPLE).prev_sample
    with pytest.raises(ValueError, match="sample is the one of the step before"):
        scheduler.step(model(SAMPLE, second), second, SAMPLE)
    scheduler.step(model(z, second), second, z)


def test_a_sample_of_another_dtype():
    """Elements that are rounded on the way would replace every register; all that a step returns has the dtype of the latents."""
    scheduler = BDIAScheduler(**STABLE)
    scheduler.set_timesteps(8)
    (first, second), z = scheduler.timesteps[:2], SAMPLE.half()
    found = scheduler.step(model(z, first), first, z)
    assert found.prev_sample.dtype == found.pred_original_sample.dtype == torch.float16
    with pytest.raises(ValueError, match=r"sample has become torch\.float32 from torch\.float16"):
        scheduler.step(model(found.prev_sample, second), second, found.prev_sample.float())
    scheduler.step(model(found.prev_sample, second), second, found.prev_sample)


def test_a_run_that_set_timesteps_ends():
    """Two pipelines of one scheduler, in turn: the first goes on from what it was handed, in a run that is no longer its own."""
    scheduler = BDIAScheduler(**STABLE)
    scheduler.set_timesteps(8)
    first, second = scheduler.timesteps[:2]
    z = scheduler.step(model(SAMPLE, first), first, SAMPLE).prev_sample
    scheduler.set_timesteps(8)
    with pytest.warns(UserWarning, match="give each pipeline a scheduler of its own"):
        scheduler.step(model(z, second), second, z)
    # Whole runs may follow one another.
    scheduler.set_timesteps(8)
    z = loop(scheduler, SAMPLE)
    scheduler.set_timesteps(8)
    loop(scheduler, z)


def test_a_set_timesteps_that_fails_leaves_no_run():
    scheduler = BDIAScheduler(**STABLE)
    scheduler.set_timesteps(8)
    first, second = scheduler.timesteps[:2]
    z = scheduler.step(model(SAMPLE, first), first, SAMPLE).prev_sample
    with pytest.raises(ValueError, match="num_inference_steps=0"):
        scheduler.set_timesteps(0)
    for use in (lambda: scheduler.step(z, second, z), lambda: scheduler.scale_model_input(z, second)):
        with pytest.raises(ValueError, match="call set_timesteps before the first step"):
            use()


def test_a_copy_of_a_run_under_way_begins_another():
    """On the same times, as text-to-video zero does with other samples; with the run's own, it is said. A pickle has no times."""
    scheduler = BDIAScheduler(**STABLE)
    scheduler.set_timesteps(8)
    first, second = scheduler.timesteps[:2]
    z = scheduler.step(model(SAMPLE, first), first, SAMPLE).prev_sample
    with pytest.raises(ValueError, match="call set_timesteps before the first step"):
        pickle.loads(pickle.dumps(scheduler)).step(z, second, z)
    twin, fresh = copy.deepcopy(scheduler), BDIAScheduler(**STABLE)
    with pytest.warns(UserWarning, match="another begins from it alone, after set_timesteps or in a copy"):
        found = twin.step(model(z, second), second, z).prev_sample
    fresh.set_timesteps(8)
    assert torch.equal(found, fresh.step(model(z, second), second, z.clone()).prev_sample)
    assert not torch.equal(found, scheduler.step(model(z, second), second, z).prev_sample)


def test_views_that_share_a_scheduler_have_a_run_each():
    """Panorama's pipelines put copies of its attributes back before each view, all of them at first the same one."""
    whole, scheduler = BDIAScheduler(**STABLE), BDIAScheduler(**STABLE)
    views = [SAMPLE, SAMPLE * 0.5, SAMPLE - 1]
    expected = []
    for z in views:
        whole.set_timesteps(8)
        expected.append(loop(whole, z))
    scheduler.set_timesteps(8)
    kept = [copy.deepcopy(scheduler.__dict__)] * len(views)
    for t in scheduler.timesteps:
        for k, z in enumerate(views):
            scheduler.__dict__.update(kept[k])
            views[k] = scheduler.step(model(scheduler.scale_model_input(z, t), t), t, z).prev_sample
            kept[k] = copy.deepcopy(scheduler.__dict__)
    assert all(torch.equal(*pair) for pair in zip(views, expected, strict=True))


def test_where_a_run_begins_is_said_before_it():
    sampler, inverse, z = pair()
    inverse.start_from(None)
    inverse.set_timesteps(8)
    for entry in (-1, 8, 1.5, math.nan):
        with pytest.raises(
            ValueError, match=f"begin_index={entry} is not an entry of timesteps to begin at: pass 0 to 7"
        ):
            inverse.set_begin_index(entry)
    inverse.step(model(SAMPLE, 0), 0, SAMPLE)
    with pytest.raises(ValueError, match="begin_index=3: the run has begun"):
        inverse.set_begin_index(3)
    with pytest.raises(ValueError, match="a run from a State has its own beginning"):
        sampler.set_begin_index(3)
    sampler.set_begin_index(0)
    assert float(abs(loop(sampler, z) - SAMPLE).max()) < 300 * EPS


def test_times_that_are_written_over_in_a_run():
    scheduler = BDIAScheduler(**STABLE)
    scheduler.set_timesteps(8)
    scheduler.timesteps[1] -= 5
    with pytest.raises(ValueError, match="timestep=746 is out of order, 751 comes next"):
        loop(scheduler, SAMPLE)


def test_a_table_that_is_replaced():
    """As tools do that rescale a pipeline's noise levels; the steps are those of the table that is there."""
    scheduler, other = BDIAScheduler(**STABLE), BDIAScheduler(**STABLE | {"beta_end": 0.02})
    scheduler.set_timesteps(8)
    plain = loop(scheduler, SAMPLE)
    scheduler.alphas_cumprod = other.alphas_cumprod
    scheduler.set_timesteps(8)
    found = loop(scheduler, SAMPLE)
    assert torch.equal(found, solve(scheduler.solver, model, grid_of(other, 8), SAMPLE).z)
    assert not torch.equal(found, plain)


def test_samples_that_are_written_over_after_the_step():
    """What was passed in, and what was handed out, is the caller's."""
    plain, scheduler = BDIAScheduler(**STABLE), EDICTInverseScheduler(**STABLE)
    for s in (plain, scheduler):
        s.set_timesteps(8)
        expected = loop(s, SAMPLE)
        s.set_timesteps(8)
        z = SAMPLE.clone()
        for t in s.timesteps:
            given, z = z, s.step(model(z, t), t, z).prev_sample
            given.fill_(7)
        assert torch.equal(z, expected)


def test_of_a_blended_sample_what_is_unchanged_keeps_its_register():
    """An inpainting pipeline changes part of the latents: elsewhere no bit is lost, although the latents are narrower."""

    def run(change):
        scheduler = BDIAScheduler(**STABLE)
        scheduler.set_timesteps(8)
        z = SAMPLE.half()
        for t in scheduler.timesteps:
            z = scheduler.step(model(z, t), t, change(z)).prev_sample
        return scheduler.state.registers["z"]

    def blended(z):
        z[:, 0] *= 0.5
        return z

    plain, found = run(lambda z: z), run(lambda z: blended(z.clone()))
    assert torch.equal(found[:, 1:], plain[:, 1:]) and not torch.equal(found[:, 0], plain[:, 0])
    # A copy is another tensor, and what was written into the very tensor that was handed out is seen.
    assert torch.equal(run(torch.clone), plain) and torch.equal(run(blended), found)
    assert not torch.equal(plain.half().double(), plain)


@pytest.mark.parametrize(
    ("narrow", "remedy"),
    [({"state_dtype": None}, "take state_dtype='float64'"), ({}, "float64 would do, but cpu has none")],
)
def test_registers_that_are_too_narrow_are_said(monkeypatch, narrow, remedy):
    """By choice, or on a device that has no float64, as this one pretends, in the words of Apple's."""
    if not narrow:
        ones = torch.ones

        def limited(*shape, dtype=None, **options):
            if dtype == torch.float64:
                raise TypeError(
                    "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
                )
            return ones(*shape, dtype=dtype, **options)

        monkeypatch.setattr(torch, "ones", limited)
        tensors.has_float64.cache_clear()
    sampler, inverse = made("bdia 9/10", **STABLE, **narrow)
    inverse.set_timesteps(20)
    x = SAMPLE.float()
    with pytest.warns(UserWarning, match="expect an error of .e-0. or more from a round trip.*" + remedy) as said:
        z = loop(inverse, x)
    expected = float(re.search(r"an error of (\S+) or more", str(said[0].message))[1])
    assert {v.dtype for v in inverse.state.registers.values()} == {torch.float32}
    sampler.start_from(inverse.state)
    sampler.set_timesteps(20)
    with pytest.warns(UserWarning, match=remedy):
        lost = float((loop(sampler, z) - x).square().mean().sqrt())
    assert expected / 10 < lost < 100 * expected
    monkeypatch.undo()
    tensors.has_float64.cache_clear()
    wide, back = made("bdia 9/10", **STABLE)
    wide.set_timesteps(20)
    x = loop(wide, z := SAMPLE.float())
    back.start_from(wide.state)
    back.set_timesteps(20)
    assert torch.equal(loop(back, x), z)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))], ids=["copy", "pickle"])
@pytest.mark.parametrize("case", ["bdia", "obelm", "edict"])
def test_a_copy_of_a_scheduler_keeps_the_state_that_was_given(case, duplicate):
    sampler, _, z = pair(case)
    expected = loop(sampler, z)
    twin = duplicate(sampler)
    twin.set_timesteps(8)
    assert torch.equal(loop(twin, z), expected)
    assert float(abs(expected - SAMPLE).max()) < 300 * EPS
    twin.start_from(None)  # which is not taken from the other
    sampler.set_timesteps(8)
    assert torch.equal(loop(sampler, z), expected)


def test_a_state_of_another_prediction_type():
    inverse = BDIAInverseScheduler(clip_sample=False, prediction_type="v_prediction")
    inverse.set_timesteps(8)
    loop(inverse, SAMPLE)
    sampler = BDIAScheduler(clip_sample=False)
    sampler.start_from(inverse.state)
    with pytest.raises(ValueError, match="state is of a run whose model predicts v, and this one's predicts eps"):
        sampler.set_timesteps(8)


def test_a_time_before_the_first():
    scheduler = BDIAScheduler(clip_sample=False, gamma=0)
    scheduler.set_timesteps(8)
    with pytest.raises(ValueError, match="timestep=-5 is not a training step: they are 0 to 999"):
        scheduler.step(SAMPLE, -5, SAMPLE)
