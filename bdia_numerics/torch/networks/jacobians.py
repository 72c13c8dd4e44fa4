"""Products with a network's Jacobian and its transpose, and of tangents and adjoints with those of a plan's instructions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from bdia_numerics.models import Predicting, prediction_of
from bdia_numerics.program.plan import Call, Instruction
from bdia_numerics.spaces import Space

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Linearised:
    """A model at one state and time.

    The product with the Jacobian is the derivative of that with its transpose, which is linear: torch's forward mode refuses
    group normalisation in channels that are not contiguous, and the fused attention of a CPU. The graph is kept, so that each product
    after the first costs one pass through it.

    Attributes
    ----------
    output
        The model's output, detached.
    """

    output: torch.Tensor
    _z: torch.Tensor
    _graph: torch.Tensor
    _dummy: torch.Tensor
    _transposed: torch.Tensor

    def push(self, v: torch.Tensor) -> torch.Tensor:
        """Return the Jacobian times v, shape of the state."""
        (found,) = torch.autograd.grad(self._transposed, self._dummy, v, retain_graph=True, materialize_grads=True)
        return found

    def pull(self, u: torch.Tensor) -> torch.Tensor:
        """Return the transposed Jacobian times u."""
        (found,) = torch.autograd.grad(self._graph, self._z, u, retain_graph=True, materialize_grads=True)
        return found


def recording(model: Any) -> Any:
    """Return the model with its gradients recorded, where it has a field that says so."""
    if is_dataclass(model) and not isinstance(model, type) and hasattr(model, "gradients"):
        return replace(model, gradients=True)
    return model


def recorded(model: Any, z: torch.Tensor, t: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a leaf with the values of z and the model's output at it, with its graph; ValueError if that records none."""
    with torch.enable_grad():
        leaf = z.detach().requires_grad_()
        output = model(leaf, t)
    if not output.requires_grad:
        raise ValueError(
            f"model(z, t={t}) records no gradient: let it compute outside torch.no_grad and inference_mode"
        )
    return leaf, output


def linearised(model: Any, z: torch.Tensor, t: Any) -> Linearised:
    """Return the model at (z, t) with its Jacobian by z.

    Parameters
    ----------
    model
        ``model(z, t)`` of tensors, differentiable twice.
    z, t
        State of shape (*batch, *data), and time.

    Raises
    ------
    ValueError
        For a model that records no gradients.
    """
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        leaf, output = recorded(recording(model), z, t)
        dummy = torch.zeros_like(output, requires_grad=True)
        (transposed,) = torch.autograd.grad(output, leaf, dummy, create_graph=True, materialize_grads=True)
        if not transposed.requires_grad:  # a constant model
            transposed = transposed + 0 * dummy
    return Linearised(output.detach(), leaf, output, dummy, transposed)


def array_jvp(
    model: Any, dtype: torch.dtype = torch.float64, device: Any = "cpu"
) -> Callable[[Array, Any, Array], Array]:
    """Return ``jvp(z, t, v)`` of NumPy arrays, as `analysis.asymmetry` and `analysis.symplectic_defect` take it.

    States one after another at one point share one graph.
    """
    last: dict[str, Any] = {}

    def jvp(z: Array, t: Any, v: Array) -> Array:
        key = (z.tobytes(), t)
        if last.get("key") != key:
            last.update(key=key, at=linearised(model, torch.from_numpy(np.array(z)).to(device, dtype), t))
        return last["at"].push(torch.from_numpy(np.array(v)).to(device, dtype)).cpu().numpy().astype(z.dtype)

    return jvp


def array_model(model: Any, dtype: torch.dtype = torch.float64, device: Any = "cpu") -> Any:
    """Return a model of tensors as one of NumPy arrays, which keeps their dtype: for the lattice, bit-exact runs and `analysis`."""

    def of_arrays(z: Array, t: Any) -> Array:
        with torch.no_grad():
            found: Array = model(torch.from_numpy(np.array(z)).to(device, dtype), t).cpu().numpy().astype(z.dtype)
        return found

    return Predicting(of_arrays, prediction_of(model))


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
