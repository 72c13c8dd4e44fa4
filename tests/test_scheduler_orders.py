"""Orders of diffusers' schedulers: a quick subset, the rest slow; and what the driver refuses."""

import numpy as np
import pytest

pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from bdia_numerics.studies.scheduler_orders import CASES, made, measured, table  # noqa: E402
from bdia_numerics.testing import assert_latent_valid, assert_nfe, assert_order, returned  # noqa: E402
from bdia_numerics.testing.schedulers import SchedulerSampler  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of NumPy on tensors, and of deprecated options
DECIDED = [case for case in CASES if case.decided]
MARKED = [
    pytest.param(c, id=c.id, marks=[] if c.quick and "UniPC" not in c.id else [pytest.mark.slow]) for c in DECIDED
]


@pytest.mark.parametrize("case", MARKED)
def test_the_order_is_the_one_of_the_page(case):
    found = measured(case)
    assert found.asymptotic
    assert found.high - found.low < 0.45
    assert abs(found.order - case.order) < 0.15
    assert case.id.split()[0].removesuffix("Scheduler") in table([(case, found)])


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


def test_what_has_no_known_levels_is_refused():
    with pytest.raises(TypeError, match="its noise levels are not known"):
        assert_order(diffusers.IPNDMScheduler(), 2)
    with pytest.raises(TypeError, match="pass a number of steps"):
        returned(made(CASES[0]), grid="leading")
    with pytest.raises(TypeError, match="pass None or 'own'"):
        assert_order(made(CASES[0]), 1, family="rough")


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
