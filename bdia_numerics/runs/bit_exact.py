"""A bit-exact round trip, and whether the model let it be one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bdia_numerics.grids import Grid
from bdia_numerics.models import witnessed
from bdia_numerics.program import Solver
from bdia_numerics.runs.solving import invert, solve
from bdia_numerics.runs.stepwise import Model, Status
from bdia_numerics.spaces import lattice
from bdia_numerics.spaces.lattice import on_lattice
from bdia_numerics.spaces.values import ordered


@dataclass(frozen=True)
class BitExact:
    """Outcome of solve and invert on the lattice.

    Attributes
    ----------
    differing_bits : int or None
        Bits of the returned integers that are not those sent, over all elements; 0 unless the model is not deterministic. None
        where a run left the range, so that there is nothing to compare.
    unit : float
        Unit of the lattice in z.
    buffer_bits, bound_bits : float
        Size of the remainder buffer at the data end in bits an element, and log2(1/|det|) summed over the run's steps; NaN, like
        `distance`, if that run left the range.
    distance : float
        Largest difference of the data end from that of the run in floats of the model's dtype.
    unsteady : str
        Where the model gave two outputs for one input; empty if it did not.
    status : Status
        Of the first run that left the range, if any.
    nfe : int
        Model evaluations on the lattice, there and back.
    """

    differing_bits: int | None
    unit: float
    buffer_bits: float
    bound_bits: float
    distance: float
    unsteady: str
    status: Status
    nfe: int


@ordered
def bit_exact_round_trip(
    solver: Solver, model: Model, grid: Grid, z: Any, *, bits: int = 40, start: Mapping[str, Any] | None = None
) -> BitExact:
    """Take z_N to the data end and back on the lattice, and compare every bit.

    Parameters
    ----------
    solver, model, grid
        As for `solve`.
    z
        A Lattice, or floats, which are rounded to one with unit 2^-bits.
    start
        A value for every register, in place of the start from z, rounded like z; then the bits of all are compared.

    Raises
    ------
    ValueError
        For states that do not fit the lattice, a solver that loses bits (NotOnLatticeError), or one without an exact inverse
        (NotInvertibleError).
    """
    sent = on_lattice(z, bits)
    first = None if start is None else {name: on_lattice(value, bits) for name, value in start.items()}
    witness = witnessed(model)
    there = solve(solver, witness, grid, sent, first)
    if not there.status.ok or there.state is None:
        return BitExact(None, sent.factor, np.nan, np.nan, np.nan, witness.unsteady, there.status, there.nfe)
    back = invert(solver, witness, grid, there.state)
    pairs = [(back.z, sent)] if first is None else [(back.state.registers[r], first[r]) for r in first]  # type: ignore[union-attr]
    differing = sum(returned.differing_bits(given) for returned, given in pairs) if back.status.ok else None
    plain = solve(solver, model, grid, sent.to_float(), first and {name: x.to_float() for name, x in first.items()})
    size, bound = lattice.bits_per_element(there.state.remainder)
    return BitExact(
        differing_bits=differing,
        unit=sent.factor,
        buffer_bits=size,
        bound_bits=bound,
        distance=float(np.max(np.abs(there.z - plain.z), initial=0.0)),
        unsteady=witness.unsteady,
        status=back.status,
        nfe=there.nfe + back.nfe,
    )
