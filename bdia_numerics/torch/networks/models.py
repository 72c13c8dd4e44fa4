"""Networks as models: what `solve` calls as model(z, t), made of diffusers U-Nets, transformers, EDM denoisers and plain callables.

What cannot be put into a network is refused with one message: the argument, its value, the remedy. `doubt` says where a network's output
contradicts what it is said to predict.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Real
from typing import Any

import torch

from bdia_numerics.grids import Grid, Point
from bdia_numerics.models import PREDICTIONS, Trained, prediction_of
from bdia_numerics.schedules import Schedule, edm
from bdia_numerics.spaces.values import ordered
from bdia_numerics.texts import shown
from bdia_numerics.torch.tensors import require_float, require_tensor

Control = Callable[[torch.Tensor, torch.Tensor, Mapping[str, Any]], Mapping[str, Any]]
"""control(z, time, conditions) gives more keyword arguments of the network, such as the residuals of a ControlNet."""
PER_STATE = ("class_labels", "encoder_hidden_states", "encoder_attention_mask", "pooled_projections", "text_embeds")
"""Arguments of networks that have one entry a state."""


@dataclass(frozen=True)
class NetworkModel:
    """A network as a model of states (batch, *data).

    Attributes
    ----------
    network
        Called as ``network(z, time, **conditions)``; a diffusers transformer by its own argument names. It returns a tensor, a tuple that
        begins with it, or an object with `.sample`. Of twice as many channels as z has, the second half is a variance and is dropped.
    prediction : str
        What it predicts, one of `bdia_numerics.models.PREDICTIONS`.
    conditions : mapping
        Keyword arguments: class_labels, encoder_hidden_states, added_cond_kwargs, pooled_projections, ...
    unconditional : mapping or None
        The same arguments without the condition, for classifier-free guidance.
    guidance : float
        unconditional + guidance (conditional - unconditional); 1 evaluates the network once, for the conditional output.
    time_scale : float or None
        What the network is told is time_scale * t, a float (1000 for flow-matching transformers); None tells it t itself, the number of a
        training step, as an integer where it is one.
    levels : Schedule or None
        The network is evaluated at z/alpha and told sigma/alpha, of this schedule, as EDM's denoisers are; a grid of
        other levels is refused.
    trained : Trained or None
        The schedule that the network was trained on: a grid of other levels at its times is refused.
    state_dtype : dtype or None
        In which the output is returned and guidance is computed: that of z by default.
    network_dtype : dtype or None
        In which the network is called: that of its weights by default.
    autocast : dtype or None
        Runs the network under torch.autocast.
    control
        See `Control`; `controlled` makes one of a ControlNet.
    gradients : bool
        Whether gradients are recorded.
    """

    network: Any
    prediction: str = "eps"
    conditions: Mapping[str, Any] = field(default_factory=dict)
    unconditional: Mapping[str, Any] | None = None
    guidance: float = 1.0
    time_scale: float | None = None
    levels: Schedule | None = None
    trained: Trained | None = None
    state_dtype: torch.dtype | None = None
    network_dtype: torch.dtype | None = None
    autocast: torch.dtype | None = None
    control: Control | None = None
    gradients: bool = False

    def __post_init__(self) -> None:
        if not callable(self.network):
            raise TypeError(f"network={shown(self.network)} is not callable: pass a module or a function of (z, t)")
        prediction_of(self)
        check_options(
            self.guidance, state_dtype=self.state_dtype, network_dtype=self.network_dtype, autocast=self.autocast
        )
        if self.guidance != 1 and self.unconditional is None:
            raise ValueError(
                f"guidance={self.guidance} needs the unconditional branch: pass unconditional=, such as the null label's class_labels"
            )

    def __call__(self, z: torch.Tensor, t: Any) -> torch.Tensor:
        """Return the network's prediction at states z and time t.

        Raises
        ------
        ValueError
            For states and conditions that the network cannot take: their shape, number, device or dtype.
        TypeError
            For states that are not tensors.
        torch.OutOfMemoryError
            With the batch that was too large.
        """
        check_states(self.network, self._weight, z)
        check_conditions(self.conditions, z)
        gradients = nullcontext() if self.gradients else torch.no_grad()
        with gradients, nullcontext() if self.autocast is None else torch.autocast(z.device.type, self.autocast):
            if self.guidance == 1:
                return self._asked(z, t, self.conditions)
            assert self.unconditional is not None
            check_conditions(self.unconditional, z)
            if self.guidance == 0:
                return self._asked(z, t, self.unconditional)
            both = self._asked(torch.cat([z, z]), t, _joined(self.unconditional, self.conditions))
            without, with_it = both.chunk(2)
            return torch.lerp(without, with_it, self.guidance)

    @property
    def schedule(self) -> Schedule | Trained | None:
        """`levels`, or else `trained`: the schedule that a run compares with that of its grid."""
        return self.trained if self.levels is None else self.levels

    def _asked(self, z: torch.Tensor, t: Any, conditions: Mapping[str, Any]) -> torch.Tensor:
        if self.levels is not None:
            z, t = z / float(self.levels.alpha(t)), self.levels.sigma_bar(t)
        x = z if self._dtype is None else z.to(self._dtype)
        time = as_time(t, x, self.time_scale)
        if self.control is not None:
            conditions = {**conditions, **self.control(x, time, conditions)}
        try:
            output = self._call(x, time, conditions)
        except (RuntimeError, MemoryError, ValueError, TypeError, LookupError) as error:
            raise in_one_line(error, self.network, x, tuple(conditions)) from error
        output = getattr(output, "sample", output)
        tensor: torch.Tensor = output[0] if isinstance(output, tuple | list) else output
        if tensor.ndim == z.ndim > 1 and tensor.shape[1] == 2 * z.shape[1]:
            tensor = tensor[:, : z.shape[1]]
        return tensor.to(self.state_dtype or z.dtype)

    def _call(self, x: torch.Tensor, time: torch.Tensor, conditions: Mapping[str, Any]) -> Any:
        if "timestep" not in self._names:
            return self.network(x, time, **conditions)
        return self.network(**{self._names[0]: x, "timestep": time}, **conditions)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        # A compiled module keeps the one that it was made of.
        module = getattr(self.network, "_orig_mod", self.network)
        function = module.forward if isinstance(module, torch.nn.Module) else module
        try:
            return tuple(inspect.signature(function).parameters)
        except (TypeError, ValueError):
            return ()

    @cached_property
    def _weight(self) -> torch.Tensor | None:
        parameters = getattr(self.network, "parameters", None)
        return next(parameters(), None) if callable(parameters) else None

    @cached_property
    def _dtype(self) -> torch.dtype | None:
        return self.network_dtype or (None if self._weight is None else self._weight.dtype)


def as_time(t: Any, x: torch.Tensor, scale: float | None = None) -> torch.Tensor:
    """Return the time as a network takes it, shape (batch,), on the device of x, without a transfer.

    Parameters
    ----------
    t
        A number.
    x
        States, shape (batch, *data).
    scale
        Tells scale * t as a float; None tells t, as an integer where it is one.
    """
    t = float(t)
    if scale is None and t.is_integer():
        return torch.full(x.shape[:1], int(t), dtype=torch.int64, device=x.device)
    kind = torch.float64 if x.dtype == torch.float64 else torch.float32
    return torch.full(x.shape[:1], t if scale is None else scale * t, dtype=kind, device=x.device)


def _joined(first: Any, second: Any, name: str = "conditions") -> Any:
    """Return the arguments of two branches as those of one batch."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        if first.keys() != second.keys():
            raise ValueError(
                f"{name}: one branch has {sorted(second)}, the unconditional one {sorted(first)}: give both the same"
            )
        return {key: _joined(first[key], second[key], key) for key in second}
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        if first.shape[1:] != second.shape[1:]:
            raise ValueError(f"{name} has shape {tuple(second.shape)}, unconditionally {tuple(first.shape)}: pad one")
        return torch.cat([first, second])
    if first is second or first == second:
        return second
    raise ValueError(
        f"{name}={shown(second)} differs from the unconditional {shown(first)}, and only tensors may: give both the same"
    )


def controlled(controlnet: Any, image: torch.Tensor, *, scale: float = 1.0, **arguments: Any) -> Control:
    """Return the residuals of a diffusers ControlNet as a `Control` of the U-Net that it steers.

    Parameters
    ----------
    controlnet
        A ControlNetModel.
    image
        What it looks at, shape (batch, channels, height, width).
    scale
        Multiplies the residuals.
    arguments
        More keyword arguments of the ControlNet.
    """
    if not hasattr(controlnet, "forward"):
        raise TypeError(f"controlnet={shown(controlnet)} is not a module: pass a ControlNetModel of diffusers")
    require_tensor("image", image)
    taken = tuple(inspect.signature(controlnet.forward).parameters)

    def control(z: torch.Tensor, time: torch.Tensor, conditions: Mapping[str, Any]) -> Mapping[str, Any]:
        shown = image.to(z.dtype) if len(image) == len(z) else image.to(z.dtype).repeat(len(z) // len(image), 1, 1, 1)
        own = {key: value for key, value in conditions.items() if key in taken}
        down, middle = controlnet(
            z, time, controlnet_cond=shown, conditioning_scale=scale, return_dict=False, **own, **arguments
        )
        return {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}

    return control


@ordered
def denoiser(D: Any, schedule: Schedule | None = None, **options: Any) -> NetworkModel:
    """Return an EDM-style denoiser D(x, sigma) as a model of clean data, for states of any schedule.

    Parameters
    ----------
    D
        Takes x = data + sigma noise and sigma of shape (batch,), and keyword arguments; gives the data.
    schedule
        Of the states z = alpha data + sigma noise: D is asked at z/alpha and sigma/alpha. EDM's own, (1, t), by default. A run on
        a grid of other levels is refused.
    options
        Of `NetworkModel`: conditions, unconditional, guidance, state_dtype, ...
    """
    return NetworkModel(D, prediction="x0", levels=schedule or edm(), time_scale=1.0, **options)


@dataclass(frozen=True)
class Preconditioned:
    """EDM's denoiser of a raw network F: D = c_skip x + c_out F(c_in x, c_noise).

    Karras et al. 2022, eq. (7) and table 1: c_skip = s^2/(sigma^2 + s^2), c_out = sigma s/sqrt(sigma^2 + s^2),
    c_in = 1/sqrt(sigma^2 + s^2), c_noise = log(sigma)/4, with s = sigma_data. Of networks that predict v, F is the negative of the output
    (`sign` -1).
    """

    network: Any
    sigma_data: float = 0.5
    sign: int = 1

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor, **conditions: Any) -> torch.Tensor:
        """Return the denoised x at noise levels of shape (batch,)."""
        level = sigma.reshape(-1, *[1] * (x.ndim - 1))
        total = (level.square() + self.sigma_data**2).sqrt()
        weight = next(self.network.parameters(), x) if isinstance(self.network, torch.nn.Module) else x
        output = self.network((x / total).to(weight.dtype), (sigma.log() / 4).to(weight.dtype), **conditions)
        output = getattr(output, "sample", output)
        kept: torch.Tensor = (
            self.sigma_data / total
        ).square() * x + level * self.sign * self.sigma_data / total * output
        return kept.to(x.dtype)


def check_options(guidance: Any, **dtypes: torch.dtype | None) -> None:
    """Raise unless the scale of guidance is a finite number and every dtype one of torch's floats."""
    if isinstance(guidance, bool) or not isinstance(guidance, Real):
        raise TypeError(f"guidance={shown(guidance)} is not a number: pass a scale such as 2.0")
    if not abs(float(guidance)) < float("inf"):
        raise ValueError(f"guidance={guidance} is not finite: pass a scale such as 2.0")
    for name, dtype in dtypes.items():
        require_float(name, dtype)


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
    word, size = str(z.dtype).removeprefix("torch."), (getattr(network, "config", None) or {}).get("sample_size")
    of_its_shape = f"pass states of the shape that it was made for{f', of size {size}' if size else ''}"
    remedy = next((helps for words, helps in _REMEDIES if any(w in said.lower() for w in words)), of_its_shape)
    return ValueError(
        f"the network cannot take z of shape {tuple(z.shape)}, {word} on {z.device}, with {', '.join(names) or 'no conditions'}"
        f" ({said[:200]}): {remedy}"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error is one of memory; torch has a class of its own for devices only."""
    words = ("can't allocate memory", "out of memory", "not enough memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(w in str(error).lower() for w in words)


_REMEDIES = (
    (("dtype", "type (", "same type"), "pass network_dtype=, the dtype of its weights"),
    (("unexpected keyword", "needs to be initialized"), "leave out of conditions what it does not take"),
    (("should be provided", "required positional", "cannot be none"), "pass it in conditions="),
    (("index out of range",), "pass labels that it has"),
)
"""What helps against an error of torch or diffusers that has one of these words."""


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
