"""Samplers in the calling convention of k-diffusion and ComfyUI, as functions that the assertions take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bdia_numerics.grids import Grid

Array = np.ndarray[Any, Any]


def from_kdiffusion(
    function: Callable[..., Any], *, inverse: bool = False, **options: Any
) -> Callable[[Any, Grid, Array], Array]:
    """Return a sampler of k-diffusion as a function ``sample(eps, grid, z)``, which `assert_order` and its like take.

    Parameters
    ----------
    function
        ``function(model, x, sigmas, disable=True, **options)``, such as those of k_diffusion.sampling or of a node of ComfyUI.
    inverse
        Whether it takes data to noise, for `invert=`: it is then given rising sigmas.
    **options
        More arguments of the function, such as ``order=3``.

    Returns
    -------
    callable
        The states have shape (batch, D) and are passed on as float64 tensors x = z/alpha; the levels are sigma/alpha.

    Raises
    ------
    TypeError
        For what cannot be called.

    Examples
    --------
    >>> from bdia_numerics.testing import assert_nfe, from_kdiffusion
    >>> def sample_euler(model, x, sigmas, extra_args=None, callback=None, disable=None):
    ...     for s, following in zip(sigmas, sigmas[1:]):
    ...         x = x + (following - s) * (x - model(x, s * x.new_ones(len(x)))) / s
    ...     return x
    >>> assert_nfe(from_kdiffusion(sample_euler), 1)
    (12, 25)
    """
    if not callable(function):
        raise TypeError(f"function={function!r} cannot be called: pass a sampler of k-diffusion")

    def sample(eps: Any, grid: Grid, z: Array) -> Array:
        import torch

        alpha, levels = grid.alpha, grid.sigma / grid.alpha
        known = dict(zip(levels.tolist(), grid.t.tolist(), strict=True))
        begin, end = (0, grid.n) if inverse else (grid.n, 0)

        def model(x: Any, sigma: Any, **_: Any) -> Any:
            s = float(sigma.reshape(-1)[0])
            schedule: Any = grid.schedule
            # A stage between two levels of the grid is at a time of its own.
            t = known[s] if s in known else float(schedule.time("sigma_bar", s))
            return x - s * torch.from_numpy(np.asarray(eps(float(schedule.alpha(t)) * x.numpy(), t)))

        sigmas = torch.from_numpy(levels if inverse else levels[::-1].copy())
        found = function(model, torch.from_numpy(z / alpha[begin]), sigmas, disable=True, **options)
        return np.asarray(alpha[end] * found.numpy())

    sample.__name__ = str(getattr(function, "__name__", type(function).__name__))
    return sample
