"""The linearisation of a plan: tangents go through its instructions forwards, adjoints backwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch

from bdia_numerics.program.plan import Call, Instruction
from bdia_numerics.spaces import Space

Store = dict[int, torch.Tensor]
Slope = Callable[[int, torch.Tensor], torch.Tensor]
"""slope(number of an evaluation, tensor): the model's Jacobian there, or its transpose, times the tensor."""


def push(instructions: Iterable[Instruction], store: Store, slope: Slope, space: Space) -> None:
    """Take tangents, by number, through instructions; a value without one counts as zero."""
    for x in instructions:
        if isinstance(x, Call):
            if x.argument in store:
                store[x.target] = slope(x.target, store[x.argument])
            continue
        pairs = [(c, store[n]) for c, n in zip(x.coefficients, x.sources, strict=True) if n in store]
        if pairs:
            store[x.target] = space.combine(*zip(*pairs, strict=True))


def pull(instructions: Sequence[Instruction], store: Store, slope: Slope, space: Space) -> None:
    """Take adjoints, by number, back through instructions; those of what the instructions make are used up."""
    for x in reversed(instructions):
        weight = store.pop(x.target, None)
        if weight is None:
            continue
        if isinstance(x, Call):
            _add(store, x.argument, 1.0, slope(x.target, weight), space)
        else:
            for c, n in zip(x.coefficients, x.sources, strict=True):
                _add(store, n, c, weight, space)


def _add(store: Store, number: int, c: float, weight: torch.Tensor, space: Space) -> None:
    present = store.get(number)
    store[number] = space.combine((c,), (weight,)) if present is None else space.combine((1.0, c), (present, weight))
