"""What cannot be put into a network, each with one message: the argument, its value, the remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

import torch

from bdia_numerics.grids import Grid, Point
from bdia_numerics.models import PREDICTIONS
from bdia_numerics.torch.tensors import DTYPES

PER_STATE = ("class_labels", "encoder_hidden_states", "encoder_attention_mask", "pooled_projections", "text_embeds")
"""Arguments of networks that have one entry a state."""


def check_options(guidance: Any, **dtypes: torch.dtype | None) -> None:
    """Raise unless the scale of guidance is a finite number and every dtype one of torch's floats."""
    if isinstance(guidance, bool) or not isinstance(guidance, Real):
        raise TypeError(f"guidance={guidance!r} is not a number: pass a scale such as 2.0")
    if not abs(float(guidance)) < float("inf"):
        raise ValueError(f"guidance={guidance} is not finite: pass a scale such as 2.0")
    for name, dtype in dtypes.items():
        if dtype is not None and dtype not in DTYPES:
            raise TypeError(f"{name}={dtype!r} is not a float dtype of torch: pass one such as torch.float32")


def check_states(network: Any, weight: torch.Tensor | None, z: Any) -> None:
    """Raise unless a network can take states: tensors where its weights are, of as many channels as it has."""
    if not isinstance(z, torch.Tensor):
        raise TypeError(f"z is a {type(z).__module__}.{type(z).__name__}: pass a tensor, such as torch.from_numpy(z)")
    if weight is not None and weight.device != z.device:
        raise ValueError(f"z is on {z.device}, the network on {weight.device}: move one, such as z.to(device)")
    channels = getattr(getattr(network, "config", None), "in_channels", None)
    if isinstance(channels, int) and (z.ndim != 4 or z.shape[1] != channels):
        raise ValueError(f"z has shape {tuple(z.shape)}, the network takes (batch, {channels}, height, width)")


def check_conditions(conditions: Mapping[str, Any], z: torch.Tensor) -> None:
    """Raise unless tensors among the conditions are where the states are, with one entry a state where networks want that."""
    for name, value in _tensors(conditions):
        if value.device != z.device:
            raise ValueError(f"{name} is on {value.device}, z on {z.device}: move one, such as {name}.to(z.device)")
        if name in PER_STATE and value.ndim and len(value) not in (1, len(z)):
            raise ValueError(
                f"{name} has shape {tuple(value.shape)}, z {tuple(z.shape)}: pass one entry of {name} a state, {len(z)} of them"
            )


def _tensors(conditions: Mapping[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    for name, value in conditions.items():
        if isinstance(value, torch.Tensor):
            yield name, value
        elif isinstance(value, Mapping):
            yield from _tensors(value)


def in_one_line(error: Exception, network: Any, z: torch.Tensor, names: tuple[str, ...]) -> Exception:
    """Return what a network raised as an error that says with which states, and what to change.

    Parameters
    ----------
    error
        What was raised.
    network
        The network.
    z
        The states that it was asked at.
    names
        Of the conditions.
    """
    said = " ".join((str(error).strip() or type(error).__name__).split())
    if is_out_of_memory(error):
        return torch.OutOfMemoryError(
            f"out of memory at a batch of {len(z)}: pass fewer states at a time ({said[:120]})"
        )
    word = str(z.dtype).removeprefix("torch.")
    return ValueError(
        f"the network cannot take z of shape {tuple(z.shape)}, {word} on {z.device}, with {', '.join(names) or 'no conditions'}"
        f" ({said[:200]}): {_remedy(said.lower(), getattr(network, 'config', None) or {})}"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error is one of memory; torch has a class of its own for devices only."""
    words = ("can't allocate memory", "out of memory", "not enough memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(w in str(error).lower() for w in words)


def _remedy(said: str, config: Mapping[str, Any]) -> str:
    """Return what helps against an error of torch or diffusers, as far as its words and the network's configuration tell."""
    if any(word in said for word in ("dtype", "type (", "same type")):
        return "pass network_dtype=, the dtype of its weights"
    if "unexpected keyword" in said or "needs to be initialized" in said:
        return "leave out of conditions what it does not take"
    if "should be provided" in said or "required positional" in said or "cannot be none" in said:
        return "pass it in conditions="
    if "index out of range" in said:
        return "pass labels that it has"
    size = config.get("sample_size")
    return f"pass states of the shape that it was made for{f', of size {size}' if size else ''}"


def likeness(z: torch.Tensor, output: torch.Tensor) -> float:
    """Return the root mean square of output - z over that of z."""
    z = z.double()
    return float((output.double() - z).square().mean().sqrt() / z.square().mean().sqrt())


def contradiction(kind: str, alpha: float, t: float, z: torch.Tensor, output: torch.Tensor) -> str | None:
    """Return what a network's output on noise says against its being of a kind; None where it says nothing.

    Where alpha is near 0 the state is the noise, so a network that predicts the noise returns its input. One that predicts the data, or
    v = alpha eps - sigma x0, does not: it has no information there.

    Parameters
    ----------
    kind
        What the network is said to predict, one of `bdia_numerics.models.PREDICTIONS`.
    alpha, t
        Of the states.
    z, output
        States at the noise end, and what the network returns there.
    """
    if kind not in ("x0", "v") or alpha > 0.5 or not (away := likeness(z, output)) < 0.2:
        return None
    return (
        f"prediction_type={PREDICTIONS[kind]!r}, but at t={t:g}, where alpha is {alpha:.2g}, the network returns its input to within "
        f"{away:.1%}, as one that predicts the noise does: set prediction_type to 'epsilon'"
    )


def doubt(model: Any, grid: Grid, z: torch.Tensor) -> str | None:
    """Evaluate a network once at the noise end, and return what its output says against the prediction that it is said to make.

    Parameters
    ----------
    model
        A `NetworkModel`.
    grid, z
        Of the run that is meant, and its z_N.

    Returns
    -------
    str or None
        A doubt, where a network that should predict the noise does not return its input; an untrained one does not, either.

    Raises
    ------
    ValueError
        Where the output contradicts the prediction, as `contradiction` says.
    """
    point = Point(*grid.level(grid.n))
    if model.prediction not in ("eps", "x0", "v") or float(point.alpha) > 0.2:
        return None
    output = model(z, grid.t[grid.n])
    if said := contradiction(model.prediction, float(point.alpha), float(point.t), z, output):
        raise ValueError(said)
    away = likeness(z, output)
    if model.prediction != "eps" or away < 0.5:
        return None
    return (
        f"at t={float(point.t):g} the network's output is {away:.0%} away from its input, which is nearly all noise: it is not trained, or "
        "predicts something else than prediction_type='epsilon'"
    )
