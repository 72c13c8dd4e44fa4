"""Orders of diffusers' schedulers: a quick subset, the rest slow; and what the driver refuses."""

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
pytest.importorskip("matplotlib", reason="needs the extra report")

from diffusers_orders import cases, made, measured, row  # noqa: E402

from bdia_numerics.pages.template import rendered  # noqa: E402
from bdia_numerics.testing import assert_latent_valid, assert_nfe, assert_order, returned  # noqa: E402
from bdia_numerics.testing.samplers import SchedulerSampler  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of NumPy on tensors, and of deprecated options
ROOT = Path(__file__).resolve().parent.parent
CASES = list(cases())
MULTISTEP = "algorithm_type=dpmsolver++, solver_order=2, solver_type="
QUICK = {
    ("DDIM", "clip_sample=False"),
    ("DDIM", ""),
    ("HeunDiscrete", ""),
    ("DPMSolverMultistep", MULTISTEP + "midpoint"),
    ("DPMSolverMultistep", MULTISTEP + "heun"),
}
MARKED = [
    pytest.param(c, id=f"{c.name} {c.shown}", marks=[] if (c.name, c.shown) in QUICK else [pytest.mark.slow])
    for c in CASES
    if c.order is not None
]


def test_the_quick_ones_are_cases():
    assert {(case.name, case.shown) for case in CASES} >= QUICK


@pytest.mark.parametrize("case", MARKED)
def test_the_order_is_the_one_of_the_page(case):
    found = measured(case)
    assert found.decided
    assert abs(found.order - case.order) < 0.15
    assert row(case, found).startswith(f"| {case.name} | ")


def test_the_page_shows_the_cases():
    page = (ROOT / "docs/findings/diffusers-orders.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    shown = [(name, options, claimed, remark) for name, options, claimed, _, _, remark in rows[1:]]
    assert shown == [(case.name, case.shown, str(case.claimed), case.remark) for case in CASES]
    lines = [line for line in page.splitlines() if line.startswith("| ")][1:]
    made_now = rendered(ROOT / "experiments/diffusers-orders.md.j2", table="\n".join(lines))
    version = r"diffusers \d[\w.]*\."  # the page's is that of its run
    assert re.sub(version, "", made_now) == re.sub(version, "", page)


def test_evaluations_and_latents():
    assert_nfe(diffusers.DDIMScheduler(clip_sample=False), 1)
    assert_nfe(diffusers.HeunDiscreteScheduler(), 2, extra=-1)
    inverse = diffusers.DDIMInverseScheduler(clip_sample=False)
    assert_latent_valid(diffusers.DDIMScheduler(clip_sample=False), invert=inverse, grid=50)


def test_a_round_trip_of_ddim_is_not_exact():
    trip = returned(
        diffusers.DDIMScheduler(clip_sample=False), invert=diffusers.DDIMInverseScheduler(clip_sample=False), grid=50
    )
    assert 1e-4 < trip.error < 0.2


def test_the_schedulers_modules_are_left_as_they_were():
    import torch
    from diffusers.schedulers import scheduling_ddim

    assert_nfe(diffusers.DDIMScheduler(), 1)
    assert scheduling_ddim.torch is torch
    assert scheduling_ddim.np is np
    assert torch.get_default_dtype() == torch.float32


def test_the_walk_is_that_of_the_configuration():
    """Levels of a scheduler driven on its own times are those that its configuration gives."""
    from bdia_numerics.configs import from_mapping, layout

    scheduler = diffusers.DDIMScheduler(clip_sample=False, steps_offset=1)
    grid, _ = SchedulerSampler(scheduler).grid(SchedulerSampler(scheduler).place(20))
    expected = layout(from_mapping({"_class_name": "DDIMScheduler", **scheduler.config}), 20).grid()
    # The table is in float32: 1 - alpha^2 = 1e-4 at its first entry, to 6e-8.
    assert np.allclose(grid.sigma, expected.sigma, rtol=1e-3)
    assert grid.n == expected.n


def test_levels_are_read_without_a_step():
    """UniPC of third order with a full last step solves a singular system there, and still has levels."""
    scheduler = diffusers.UniPCMultistepScheduler(solver_order=3, lower_order_final=False)
    grid, _ = SchedulerSampler(scheduler).grid(SchedulerSampler(scheduler).place(12))
    least = float(scheduler.alphas_cumprod[-1])
    assert np.allclose([grid.sigma[0], grid.sigma[-1]], [0, (1 - least) ** 0.5], rtol=1e-6, atol=0)


def test_what_has_no_known_levels_is_refused():
    with pytest.raises(TypeError, match="cannot be tested: the walk of IPNDMScheduler is not read"):
        assert_order(diffusers.IPNDMScheduler(), 2)
    with pytest.raises(TypeError, match="pass a number of steps"):
        returned(made(CASES[0]), grid="leading")
    with pytest.raises(TypeError, match="pass 'smooth', 'alternating', 'any' or 'own'"):
        assert_order(made(CASES[0]), 1, family="rough")


UNEVEN = [
    ("DDIMScheduler", {"clip_sample": False}, {}, np.arcsinh),
    ("UniPCMultistepScheduler", {"use_karras_sigmas": True}, {}, np.arcsinh),
    ("EDMEulerScheduler", {}, {}, lambda s: s ** (1 / 7)),
    ("FlowMatchEulerDiscreteScheduler", {"use_dynamic_shifting": True}, {"mu": 0.0}, lambda s: s / (1 + s)),
]


@pytest.mark.parametrize(("name", "entries", "passed", "variable"), UNEVEN, ids=[case[0] for case in UNEVEN])
def test_alternating_levels(name, entries, passed, variable):
    """h, 2h, h, ... from the data end: in the table of the scheduler, or as the sigmas that its set_timesteps takes."""
    from bdia_numerics.grids import live
    from bdia_numerics.testing.driving import double_precision, refined

    made, asked = refined(getattr(diffusers, name)(**entries), 6, pattern=(1, 2))
    with double_precision(type(made)), np.errstate(divide="ignore"):
        made.set_timesteps(**asked, **passed)
        walk = live(made)
    s = np.minimum(np.append(walk.begins, walk.ends[-1])[::-1], 1e8)
    steps = np.diff(variable(s))
    # Levels are kept in float32 by some classes, 6e-8 of the first one; 1e8 stands for infinity.
    assert np.allclose(steps / steps[0], [1, 2] * 3, rtol=1e-5)


def test_steps_that_are_taken_as_equal():
    """PNDM's weights are those of Adams and Bashforth for equal steps: its order on uneven ones is 1."""
    uneven = diffusers.PNDMScheduler(skip_prk_steps=True)
    with pytest.raises(AssertionError, match=r"claimed 2, observed 1\.0.* on alternating grids"):
        assert_order(uneven, 2, family="alternating", states=4, max_steps=512)
    assert assert_order(diffusers.DDIMScheduler(clip_sample=False), 1, family="any", **FEW).alternating.order > 0.9
    for name in ("EDMDPMSolverMultistepScheduler", "FlowMatchHeunDiscreteScheduler"):
        with pytest.raises(ValueError, match=f"the set_timesteps of {name} takes no sigmas"):
            assert_order(getattr(diffusers, name)(), 2, family="any", **FEW)


def test_rows_of_a_foreign_scheduler_are_counted():
    """From its first step on it keeps two states in one tensor, and the model is asked for both."""
    import torch

    class Doubled(diffusers.DDIMScheduler):
        def step(self, output, t, sample, **options):
            found = super().step(output, t, sample, **options)
            if t == self.timesteps[0]:
                found.prev_sample = torch.cat([found.prev_sample, found.prev_sample])
            return found

    assert assert_nfe(Doubled(clip_sample=False), 2, extra=-1) == (23, 49)
    with pytest.raises(AssertionError, match="2 a step and -1 more"):
        assert_nfe(Doubled(clip_sample=False), 1)


def test_latents_of_a_scheduler_that_scales_them():
    class Scaled(diffusers.DDIMInverseScheduler):
        def step(self, output, t, sample, **options):
            found = super().step(output, t, sample, **options)
            if t == self.timesteps[-1]:
                found.prev_sample = 1.05 * found.prev_sample
            return found

    with pytest.raises(AssertionError, match=r"does not vanish, it tends to about 0\.049.*25, 50, 100, 200"):
        assert_latent_valid(diffusers.DDIMScheduler(clip_sample=False), invert=Scaled(clip_sample=False))
    with pytest.raises(TypeError, match="pass None or 'own'"):
        assert_latent_valid(diffusers.DDIMScheduler(), invert=Scaled(), family="any")


SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SVD = SD | {"timestep_type": "continuous", "use_karras_sigmas": True, "sigma_min": 0.002, "sigma_max": 700.0,
            "prediction_type": "v_prediction", "timestep_spacing": "leading", "steps_offset": 1}  # fmt: skip
FEW = {"states": 4, "max_steps": 128}
EULER = [  # Euler's method on its own variable: of order 1 on every smooth grid
    ("EulerDiscreteScheduler", SVD, {}),
    ("EDMEulerScheduler", {}, {}),
    ("FlowMatchEulerDiscreteScheduler", {"use_dynamic_shifting": True}, {"mu": 0.9}),
    ("FlowMatchEulerDiscreteScheduler", {"use_dynamic_shifting": True, "shift_terminal": 0.02}, {"mu": 0.6}),
    ("EulerDiscreteScheduler", SD | {"use_karras_sigmas": True}, {}),
    ("EulerDiscreteScheduler", SD | {"use_beta_sigmas": True}, {}),
    ("EulerDiscreteScheduler", SD | {"use_exponential_sigmas": True, "timestep_spacing": "leading"}, {}),
]


@pytest.mark.parametrize(("name", "entries", "passed"), EULER, ids=[f"{n}-{len(e)}" for n, e, _ in EULER])
def test_schedulers_whose_times_are_no_entries_of_a_table(name, entries, passed):
    found = assert_order(getattr(diffusers, name)(**entries), 1, **FEW, **passed)
    assert abs(found.order - 1) < 0.05


def test_a_second_order_method_under_karras():
    """It rounds its times to whole ones, so that the smooth grid takes the place of these sigmas."""
    assert_order(diffusers.DPMSolverMultistepScheduler(use_karras_sigmas=True, **SD), 2, states=4, max_steps=256)


@pytest.mark.parametrize("name", ["UniPCMultistepScheduler", "DPMSolverMultistepScheduler"])
def test_flow_levels_of_a_scheduler_with_a_table(name):
    """As Wan and Sana have it: told 1000 sigma, of a velocity, and the errors fall."""
    from bdia_numerics.testing.samplers import LAW, Steps

    entries = {"use_flow_sigmas": True, "flow_shift": 3.0, "prediction_type": "flow_prediction"}
    sampler = SchedulerSampler(getattr(diffusers, name)(**entries))
    few, many = (sampler.run(LAW, Steps(n, (1,)), "sample", 8) for n in (16, 128))
    assert abs(many.end - many.truth).max() < 0.05 * abs(few.end - few.truth).max()


def test_times_that_are_wrong_are_still_found():
    """A scheduler of Stable Video Diffusion that is told of the level half as high does not converge."""

    class Halved(diffusers.EulerDiscreteScheduler):
        def set_timesteps(self, *args, **kwargs):
            super().set_timesteps(*args, **kwargs)
            self.timesteps = self.timesteps - np.log(2) / 4

    with pytest.raises(AssertionError, match="does not converge to the ODE"):
        assert_order(Halved(**SVD), 1, **FEW)


@pytest.mark.parametrize(
    ("name", "entries", "says"),
    [
        ("FlowMatchEulerDiscreteScheduler", {"use_dynamic_shifting": True}, "says: `mu` must be passed"),
        ("FlowMatchEulerDiscreteScheduler", {"invert_sigmas": True}, "invert_sigmas=True"),
        ("DDPMScheduler", {}, "DDPMScheduler adds noise"),
        ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}, "adds noise"),
        ("CMStochasticIterativeScheduler", {}, "the walk of CMStochasticIterativeScheduler is not read"),
        ("DDIMScheduler", {"prediction_type": "mu"}, "prediction_type='mu' is not known"),
    ],
)
@pytest.mark.parametrize("family", [None, "own"])
def test_what_cannot_be_tested_gets_no_verdict(name, entries, says, family):
    with pytest.raises((TypeError, ValueError), match=f"^cannot be tested: .*{says}"):
        assert_order(getattr(diffusers, name)(**entries), 1, family=family, **FEW)


def test_levels_of_flow_matching_with_another_prediction():
    """Of a class with a table, whose network was always given out as one of the velocity."""
    flow = diffusers.DPMSolverMultistepScheduler(use_flow_sigmas=True, prediction_type="sample", solver_order=1)
    assert_order(flow, 1, **FEW)


class Own(diffusers.DDIMScheduler):
    """Of one's own: it names its arguments in its own way, and returns what a function is given."""

    def __init__(self, returned):
        super().__init__(clip_sample=False)
        self.returned = returned

    def set_timesteps(self, count):
        super().set_timesteps(count)

    def step(self, *given):
        return self.returned(super().step(*given).prev_sample)


def test_schedulers_of_ones_own_may_return_tuples():
    assert assert_nfe(Own(lambda z: (z, None)), 1) == (12, 25)
    for wrong in (lambda z: None, lambda z: z.numpy(), lambda z: (None, z)):
        with pytest.raises(
            TypeError, match=r"cannot be tested: Own.step returned a \w+: return an object with the tensor"
        ):
            assert_nfe(Own(wrong), 1)


def test_a_scheduler_without_a_configuration_does_not_say_what_it_predicts():
    class Bare:
        alphas_cumprod = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))

        def set_timesteps(self, n):
            self.num_inference_steps, self.timesteps = n, np.arange(n)[::-1] * (1000 // n)

        def step(self, e, t, z):
            return (z,)

    with pytest.raises(ValueError, match="cannot be tested: prediction_type='None' is not known here: use epsilon"):
        assert_nfe(Bare(), 1)


def test_a_shift_is_for_schedulers():
    with pytest.raises(TypeError, match="mu=1: only a scheduler takes it"):
        assert_nfe(lambda eps, grid, z: z, 1, mu=1)
    with pytest.raises(ValueError, match=r"cannot be tested: DDIMScheduler\.set_timesteps"):
        assert_nfe(diffusers.DDIMScheduler(), 1, mu=1)
    assert assert_nfe(diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True), 1, mu=0.7) == (12, 25)
