"""What of a network's output depends on the batch that a state is in and on kernels, and whether every bit comes back all the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from bdia_numerics.grids import Grid
from bdia_numerics.program import Solver
from bdia_numerics.runs.encoding import bit_exact_round_trip, encode, solve
from bdia_numerics.spaces import Lattice
from bdia_numerics.spaces.values import ordered
from bdia_numerics.torch.networks.jacobians import array_model
from bdia_numerics.torch.networks.models import NetworkModel
from bdia_numerics.torch.networks.sampling import rms


@dataclass(frozen=True)
class Repeatability:
    """Whether one state has one output, in elements of the output that differ.

    Attributes
    ----------
    repeated : int
        Between two calls with the same batch.
    differing : dict of int to int
        Of the first state's output, from that in the whole batch, by the size of the batch that it is in.
    kernels : dict of str to int
        Where the same batch is computed by other kernels or by another model, by what was changed.
    largest, largest_by_kernels : float
        Largest of the differences by batch, and of those by kernels, over the root mean square of the output.
    """

    repeated: int
    differing: dict[int, int]
    kernels: dict[str, int]
    largest: float
    largest_by_kernels: float

    @property
    def exact(self) -> bool:
        """Whether no bit depends on the call, the batch or the kernels."""
        return not self.repeated and not any((*self.differing.values(), *self.kernels.values()))


@ordered
def repeatability(
    model: Any, z: torch.Tensor, t: Any = 0.5, *, others: Mapping[str, Any] | None = None
) -> Repeatability:
    """Compare the output at a state in batches of 1, 2, 4, ... with that in the whole batch, and that of other kernels, bit by bit.

    Parameters
    ----------
    model
        A `NetworkModel`, whose conditions of as many entries as z are divided with the batch; a module, which is asked for
        ``module(z, t)``; or a function of (z, t) that takes any batch.
    z, t
        States, shape (batch, *data), of a batch of 2 or more, and time.
    others
        More models of the same states by name, such as the same network on another device; their outputs may be on that one.

    Raises
    ------
    ValueError
        For a batch of less than 2.

    Examples
    --------
    >>> import torch
    >>> from bdia_numerics.torch import repeatability
    >>> repeatability(lambda z, t: torch.tanh(z), torch.zeros(3, 2)).exact
    True
    """
    if len(z) < 2:
        raise ValueError(f"z has a batch of {len(z)}: pass 2 states or more")
    model = NetworkModel(model) if isinstance(model, torch.nn.Module) else model
    with torch.no_grad():
        # Clones: a model that writes every output into one tensor would agree with itself.
        whole, again = (model(z.clone(), t).clone() for _ in range(2))
        kernels = {name: model(x, t) - whole for name, x in _by_other_kernels(z)}
        kernels |= {name: other(z.clone(), t).to(whole) - whole for name, other in (others or {}).items()}
        parts, n = dict[int, torch.Tensor](), 1
        while n < len(z):
            parts[n] = _first(model, n, len(z))(z[:n].clone(), t)[0] - whole[0]
            n *= 2
    size = max(rms(whole), float(torch.finfo(z.dtype).tiny))
    return Repeatability(
        repeated=int((whole != again).sum()),
        differing={k: int((d != 0).sum()) for k, d in parts.items()},
        kernels={name: int((d != 0).sum()) for name, d in kernels.items()},
        largest=max(float(d.abs().max()) for d in parts.values()) / size,
        largest_by_kernels=max((float(d.abs().max()) for d in kernels.values()), default=0.0) / size,
    )


def _first(model: Any, n: int, count: int) -> Any:
    """Return the model of the first n of some states."""

    def cut(given: Any) -> Any:
        if isinstance(given, Mapping):
            return {name: cut(value) for name, value in given.items()}
        return given[:n] if isinstance(given, torch.Tensor) and given.ndim and len(given) == count else given

    if not isinstance(model, NetworkModel):
        return model
    return replace(model, conditions=cut(model.conditions), unconditional=cut(model.unconditional))


def _by_other_kernels(z: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield names and states, each while what it names is changed, as far as this machine has another way."""
    if z.ndim == 4:
        yield "channels_last", z.clone(memory_format=torch.channels_last)
    if z.device.type == "cuda":
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield "deterministic cuDNN without TF32", z.clone()
        return
    if torch.get_num_threads() > 1:
        with one_thread():
            yield "one thread", z.clone()
    onednn: Any = torch.backends.mkldnn
    if onednn.enabled:
        onednn.enabled = False
        try:
            yield "without oneDNN", z.clone()
        finally:
            onednn.enabled = True


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread inside: sums are then rounded alike in every process, and as many processes can run as there are cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def bits(solver: Solver, model: Any, grid: Grid, z: torch.Tensor) -> dict[str, Any]:
    """Take a state to the other end and back on the lattice, from noise to data and from data to noise, and compare every bit.

    Parameters
    ----------
    solver, model, grid
        As for `bdia_numerics.solve`; the model takes tensors of z's dtype on z's device.
    z
        z_N, shape (batch, *data), float32 or float64.

    Returns
    -------
    dict
        "from_noise" and "from_data", the bits that differ at the end of the round trip from there, None if it left the lattice's range;
        "unsteady", where the network gave two outputs for one state, empty if it did not; "distance", the largest difference between
        the data end on the lattice and in floats.

    Raises
    ------
    ValueError
        For solvers that are not exact on the lattice.
    """
    arrays = array_model(model, z.dtype, z.device)
    noise: np.ndarray[Any, Any] = z.detach().cpu().numpy()
    found = bit_exact_round_trip(solver, arrays, grid, noise)
    data = solve(solver, arrays, grid, noise).z
    sent = Lattice.from_float(data, bits=40)
    far = encode(solver, arrays, grid, sent)
    back = None if far.state is None else solve(solver, arrays, grid, far.state)
    return {
        "from_noise": found.differing_bits,
        "from_data": back.z.differing_bits(sent) if back is not None and back.status.ok else None,
        "unsteady": found.unsteady,
        "distance": found.distance,
    }
