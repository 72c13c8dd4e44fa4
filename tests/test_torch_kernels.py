"""Combinations compiled to one kernel: the same sums within rounding, each from one kernel, in every dtype and layout."""

import shutil

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")

from bdia_numerics import BDIA, EDICT, grids, invert, schedules, solve  # noqa: E402
from bdia_numerics.torch import fused, tensors  # noqa: E402
from bdia_numerics.torch.tensors import DTYPES, space_of  # noqa: E402

SCHEDULE = schedules.vp_linear()
GRID = grids.uniform(SCHEDULE, 6, t_max=0.8, t_min=0.05)
Z = torch.randn(2, 4, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def model(z, t):
    """Noise prediction for data of variance 1/2, bent a little."""
    a, s = float(SCHEDULE.alpha(t)), float(SCHEDULE.sigma(t))
    return s / (a * a / 2 + s * s) * (z + 0.1 * torch.sin(z))


needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="needs a C++ compiler, which torch.compile calls"
)


def test_the_sum_that_is_compiled():
    """Uncompiled: coefficients from a tensor are those that were given, in every dtype."""
    for dtype in DTYPES:
        values, half = [Z.to(dtype), (Z * Z).to(dtype), Z.sin().to(dtype)], dtype in (torch.float16, torch.bfloat16)
        found = tensors._weighted(tensors._row((1.0, -0.3, 1 / 3), Z.device), values, half)
        expected = space_of(values[0]).combine((1.0, -0.3, 1 / 3), values)
        # Three roundings of float64 numbers to the dtype of the sum, two sums, each of at most the terms' size.
        scale = sum(v.double().abs() for v in values).max()
        assert found.dtype == dtype and float((found.double() - expected.double()).abs().max()) <= 5 * scale * max(
            torch.finfo(dtype).eps / 2 if half else 0, torch.finfo(torch.float32 if half else dtype).eps
        )
    assert not tensors._fused.get()


@needs_compiler
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method:DeprecationWarning")  # what torch.compile itself imports
@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("solver", [BDIA(), EDICT()], ids=lambda s: type(s).__name__)
def test_a_run_is_the_plain_one_within_rounding(solver, dtype):
    z = Z.to(dtype)
    plain = solve(solver, model, GRID, z)
    with fused():
        found = solve(solver, model, GRID, z)
        back = invert(solver, model, GRID, found.state)
    # A few roundings a slot of numbers below 4, amplified tenfold on this grid.
    tolerance = 100 * GRID.n * torch.finfo(dtype).eps
    assert found.z.dtype == dtype and found.nfe == plain.nfe
    assert float((found.z - plain.z).abs().max()) < tolerance
    assert float((back.z - z).abs().max()) < tolerance


@needs_compiler
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method:DeprecationWarning")  # what torch.compile itself imports
@pytest.mark.slow
def test_a_step_is_one_kernel_which_later_slots_use_again():
    from torch._inductor import metrics

    z = Z.float().to(memory_format=torch.channels_last)
    torch.compiler.reset()
    metrics.reset()
    counts = []
    for gamma in (0.9, 0.7):  # other coefficients, in every slot
        with fused():
            found = solve(BDIA(gamma), model, GRID, z)
        counts.append(metrics.generated_kernel_count)
    # One for the start, a DDIM step of two terms, and one for the steps, of three.
    assert counts == [2, 2]
    assert found.z.is_contiguous(memory_format=torch.channels_last)
