"""Each linear combination of a step as one kernel, which torch.compile makes: every register is read once, the new one written once.

Plainly a BDIA step is two or three kernels, each of which goes over the state again. On a GPU that is what a step costs; on a CPU the
calls of a compiled function cost more than small states do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import Any

import torch

active: ContextVar[bool] = ContextVar("fused", default=False)
"""Whether combinations are compiled, in this thread or task."""


@contextmanager
def fused() -> Iterator[None]:
    """Let the linear combinations of runs in this block be one kernel each.

    The first run in each dtype and layout compiles for some seconds; with a C++ compiler on a CPU, Triton on a GPU. A kernel may contract
    products and sums (fused multiply-add), so its bits may differ from those of a plain run: sample and invert both in such a block. It
    takes no buffer over, so that a run holds one array of the state's size more.

    Examples
    --------
    >>> from bdia_numerics.torch import fused
    >>> with fused():
    ...     found = solve(BDIA(), model, grid, z)
    """
    token = active.set(True)
    try:
        yield
    finally:
        active.reset(token)


def combined(coefficients: Sequence[float], values: Sequence[torch.Tensor], wide: bool) -> torch.Tensor:
    """Return sum_k coefficients[k] * values[k] in the dtype of the values, summed in float32 if `wide`, by one kernel."""
    found: torch.Tensor = _kernel()(row(tuple(coefficients), values[0].device), list(values), wide)
    return found


@lru_cache(maxsize=65536)
def row(coefficients: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Return coefficients as a float64 tensor on a device, brought there once and without waiting for it.

    As numbers they would be compiled into the kernel, one kernel a slot.
    """
    made = torch.tensor(coefficients, dtype=torch.float64)
    return made.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else made.to(device)


def weighted(row: torch.Tensor, values: list[torch.Tensor], wide: bool) -> torch.Tensor:
    """Return what is compiled: the sum from the left; a coefficient, a tensor without axes, takes the dtype of the values."""
    terms = [value.float() for value in values] if wide else values
    total = row[0] * terms[0]
    for k in range(1, len(terms)):
        total = total + row[k] * terms[k]
    return total.to(values[0].dtype)


@cache
def _kernel() -> Callable[..., Any]:
    return torch.compile(weighted)
