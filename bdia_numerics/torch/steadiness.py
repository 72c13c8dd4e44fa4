"""What of a network's output depends on the company that a state is in, and what that and each dtype cost a round trip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from bdia_numerics.bitexact import bit_exact_round_trip
from bdia_numerics.grids import Grid
from bdia_numerics.integrate import encode, invert, solve
from bdia_numerics.program import Solver
from bdia_numerics.spaces import Lattice
from bdia_numerics.torch.jacobians import array_model
from bdia_numerics.torch.sampling import rms
from bdia_numerics.torch.tensors import DTYPES


@dataclass(frozen=True)
class Steadiness:
    """Whether one state has one output.

    Attributes
    ----------
    repeated : int
        Elements of the output that differ between two calls with the same batch.
    differing : dict of int to int
        Elements of the first state's output that differ from those in the whole batch, by the size of the batch that it is in.
    largest : float
        Largest of these differences, over the root mean square of the output.
    """

    repeated: int
    differing: dict[int, int]
    largest: float

    @property
    def steady(self) -> bool:
        """Whether no bit depends on the call or the batch."""
        return not self.repeated and not any(self.differing.values())


def steadiness(make: Callable[[int], Any], z: torch.Tensor, t: Any) -> Steadiness:
    """Compare the output at a state in batches of 1, 2, 4, ... with that in the whole batch, bit by bit.

    Parameters
    ----------
    make
        ``make(n)`` is the model for the first n states: it holds n labels.
    z, t
        States, shape (batch, *data), and time.

    Raises
    ------
    ValueError
        For a batch of less than 2.
    """
    if len(z) < 2:
        raise ValueError(f"z has a batch of {len(z)}: pass 2 states or more")
    with torch.no_grad():
        whole, again = (make(len(z))(z.clone(), t) for _ in range(2))
        parts, n = dict[int, torch.Tensor](), 1
        while n < len(z):
            parts[n] = make(n)(z[:n].clone(), t)[0] - whole[0]
            n *= 2
    size = max(rms(whole), float(torch.finfo(z.dtype).tiny))
    return Steadiness(
        repeated=int((whole != again).sum()),
        differing={k: int((d != 0).sum()) for k, d in parts.items()},
        largest=max(float(d.abs().max()) for d in parts.values()) / size,
    )


@dataclass(frozen=True)
class Trip:
    """A round trip from noise in one dtype.

    Attributes
    ----------
    solver, dtype : str
    steps : int
    guidance : float
    error : float
        Root mean square of the noise that came back less the noise that was sent; NaN if a run was not finite.
    status : str
        "ok", or where it went wrong.
    """

    solver: str
    dtype: str
    steps: int
    guidance: float
    error: float
    status: str


def trips(
    make: Callable[[torch.dtype, float], Any],
    solvers: Sequence[Solver],
    grids: Iterable[Grid],
    z: torch.Tensor,
    *,
    guidances: Sequence[float] = (1.0,),
    dtypes: Sequence[torch.dtype] = DTYPES,
) -> list[Trip]:
    """Take noise to data and back with each solver, grid, guidance scale and dtype of the states.

    Parameters
    ----------
    make
        ``make(dtype, guidance)`` is the model for states of a dtype.
    solvers
        Exactly invertible ones.
    grids, guidances, dtypes
        All of their combinations are run.
    z
        z_N in the widest dtype, shape (batch, *data).

    Raises
    ------
    NotInvertibleError
        (a ValueError) for a solver without derived inverse.
    """
    rows = []
    for grid in grids:
        for guidance in guidances:
            for dtype in dtypes:
                model, sent = make(dtype, guidance), z.to(dtype)
                for solver in solvers:
                    there = solve(solver, model, grid, sent)
                    found, error = there, float("nan")
                    if there.status.ok and there.state is not None:
                        found = invert(solver, model, grid, there.state)
                        error = rms(found.z.double() - sent.double()) if found.status.ok else error
                    word = str(dtype).removeprefix("torch.")
                    rows.append(Trip(repr(solver), word, grid.n, guidance, error, str(found.status)))
    return rows


@dataclass(frozen=True)
class Bits:
    """Bit-exact round trips of a network, from noise and from data.

    Attributes
    ----------
    from_noise, from_data : int
        Bits that differ at the end of the round trip.
    unsteady : str
        Where the network gave two outputs for one state; empty if it did not.
    distance : float
        Largest difference between the data end on the lattice and in floats.
    """

    from_noise: int
    from_data: int
    unsteady: str
    distance: float


def bits(solver: Solver, model: Any, grid: Grid, z: torch.Tensor) -> Bits:
    """Take a state to the other end and back on the lattice, from noise to data and from data to noise, and compare every bit.

    Parameters
    ----------
    solver, model, grid
        As for `bdia_numerics.solve`; the model takes tensors of z's dtype on z's device.
    z
        z_N, shape (batch, *data), float32 or float64.

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
    assert far.state is not None
    back = solve(solver, arrays, grid, far.state)
    return Bits(found.differing_bits, back.z.differing_bits(sent), found.unsteady, found.distance)
