"""Networks from files: the shipped one, folders and hub repositories of diffusers, checkpoints of DDIM, pickles of EDM."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from bdia_numerics import configs, schedules
from bdia_numerics.grids import Grid
from bdia_numerics.models import Trained
from bdia_numerics.schedules import Schedule
from bdia_numerics.texts import refuse, shown
from bdia_numerics.torch.networks.features import verdicts
from bdia_numerics.torch.networks.folders import (
    CARD,
    SUFFIXES,
    UNET,
    ddim_unet,
    edm_network,
    local,
    network_of,
    quiet,
    read_json,
)
from bdia_numerics.torch.networks.models import NetworkModel, Preconditioned
from bdia_numerics.torch.scheduling import make_grid, schedule_of
from bdia_numerics.torch.tensors import require_float

_PARTS = ("unet", "transformer")


@dataclass(frozen=True)
class Loaded:
    """A network with what is known of it.

    Attributes
    ----------
    network
        The module, in evaluation mode.
    schedule : Schedule
        Of its training.
    prediction : str
        What it predicts.
    shape : tuple of int or None
        (channels, height, width) of a state, where the network's configuration says it.
    config : SchedulerConfig or None
        The scheduler's configuration.
    null_label : int or None
        The label that stands for none.
    options : mapping
        Arguments that `NetworkModel` needs for this network.
    data : str or None
        What it was trained on, where that is recorded; "mnist" is what the shipped classifier reads.
    """

    network: Any
    schedule: Schedule
    prediction: str
    shape: tuple[int, int, int] | None = None
    config: configs.SchedulerConfig | None = None
    null_label: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    data: str | None = None

    def model(self, labels: Any = None, **options: Any) -> NetworkModel:
        """Return the network as a model, which refuses grids whose noise levels are not those of its training at the same times.

        Parameters
        ----------
        labels
            Class labels of a batch, ints of shape (batch,), for networks that take them.
        options
            Of `NetworkModel`. With `guidance` and a null label known, the unconditional branch is made here.

        Raises
        ------
        ValueError
            For labels that the network does not have, and a prediction that it was not trained for.
        """
        if options.get("prediction", self.prediction) != self.prediction:
            raise ValueError(
                f"prediction={options['prediction']!r}: this network was trained to predict {self.prediction}, leave it out"
            )
        options = {"prediction": self.prediction, **self.options, **options}
        own, told = (given.get("time_scale") or 1 for given in (self.options, options))
        options.setdefault("trained", Trained(self.schedule, 1 if told == own else told / own))
        if labels is not None:
            options |= self._conditions(labels, options)
        elif self.labels and not options.get("conditions"):
            none = "" if self.null_label is None else f", {self.null_label} for none"
            raise ValueError(f"labels=None: this network is conditional, pass one label an image{none}")
        if options.get("guidance", 1) != 1 and options.get("unconditional") is None:
            reason, remedy = (
                ("no null label is known of this network", f"record null_label in {CARD} beside its config.json")
                if self.labels
                else ("this network takes no labels", "pass conditions= and unconditional=")
            )
            raise ValueError(
                f"guidance={options['guidance']} needs an unconditional branch, and {reason}: leave guidance at 1, or {remedy}"
            )
        conditioning = None if self.config is None else self.config.preconditioned
        asked = self.network if conditioning is None else Preconditioned(self.network, *conditioning)
        return NetworkModel(asked, **options)

    def _conditions(self, labels: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the conditions of both branches with the labels in them."""
        count, onehot = classes(self.network), int(getattr(self.network, "label_dim", 0) or 0)
        try:
            given = torch.as_tensor(labels, device=next(self.network.parameters()).device)
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(
                f"labels={shown(labels)} are not ints: pass one class label an image, such as [3, 1]"
            ) from None
        if given.ndim != 1 or given.dtype.is_floating_point or given.dtype.is_complex:
            raise TypeError(
                f"labels={given.tolist()} are not a list of ints: pass one class label an image, such as [3, 1]"
            )
        top = count or onehot
        outside = bool(((given < 0) | (given >= top)).any())
        refuse(
            (not self.labels, f"labels={given.tolist()}: this network takes no labels, leave them out"),
            (top and outside, f"labels={given.tolist()}: this network has the labels 0 to {top - 1}"),
        )
        given = given.to(torch.int64)
        none = None if self.null_label is None else torch.full_like(given, self.null_label)
        if onehot:  # as EDM's networks take them; all zeros are not a label
            given = torch.nn.functional.one_hot(given, onehot).to(torch.float32)
            none = torch.zeros_like(given)
        found = {"conditions": {"class_labels": given, **options.get("conditions", {})}}
        if none is not None and options.get("unconditional") is None:
            found["unconditional"] = {**found["conditions"], "class_labels": none}
        return found

    @property
    def labels(self) -> int:
        """How many labels there are, without that for none; 0 for a network that takes none."""
        count = classes(self.network) or int(getattr(self.network, "label_dim", 0) or 0)
        return count - (self.null_label is not None and self.null_label == count - 1)

    def recognised(self, images: Any, labels: Any) -> int | None:
        """Return how many images the shipped classifier reads as their labels; None for networks of other images."""
        return None if labels is None or self.data != "mnist" else verdicts(images, labels)

    @property
    def altered(self) -> tuple[str, ...]:
        """What the scheduler's configuration asks of each step, and cannot be inverted."""
        asked = () if self.config is None else (key for key in ("clip_sample", "thresholding") if self.config[key])
        return tuple(
            f"{key}=True in scheduler_config.json is not applied, since a clipped step cannot be inverted: set it to false"
            for key in asked
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What the scheduler would do and an exact solver does not."""
        noisy = self.config is not None and self.config.stochastic
        return (*self.altered, *(["the scheduler adds noise in each step; here its ODE is solved"] if noisy else []))

    @property
    def best_spacing(self) -> str | None:
        """The spacing of `grid` that suits gamma = 1, where training steps are numbered; None for EDM and flows, with their own.

        Leading spacing, which most configurations name, ends with a slot much shorter than the one before it, and there gamma = 1 magnifies
        errors (docs/findings/best-gamma.md).
        """
        config = self.config
        plain = config is not None and config["timestep_spacing"] and not config.flow and config.preconditioned is None
        return "trailing" if plain else None

    def grid(self, n: int, spacing: str | None = None, *, mu: float | None = None) -> Grid:
        """Return the grid of n slots that the scheduler's configuration describes; see `scheduling.make_grid`."""
        return make_grid(self.schedule, self.config, n, spacing, mu=mu)

    def to(self, *arguments: Any) -> Loaded:
        """Return it with the network moved to a device or dtype, in place as torch moves modules."""
        try:
            with quiet():  # diffusers logs a warning at each change of the dtype
                return replace(self, network=self.network.to(*arguments))
        except (AssertionError, RuntimeError) as error:
            said = " ".join(str(error).split())[:200]
            raise ValueError(
                f"device={str(arguments[0])!r}: the network cannot be put there ({said}): pass a device that is here, such as 'cpu'"
            ) from None


def load(
    source: str | Path | None = None,
    *,
    part: str | None = None,
    trust_pickle: bool = False,
    ema: bool = True,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> Loaded:
    """Load a network.

    Parameters
    ----------
    source
        None is the network of MNIST digits that is shipped. Else a folder of a diffusers pipeline or model, the name of
        such a repository on the Hugging Face hub, a checkpoint of DDIM's U-Net (`checkpoints.ddim_unet`), or a pickle of EDM. Weights
        in folders are read from safetensors only.
    part
        Which part of a pipeline: "unet" or "transformer", whichever it has by default.
    trust_pickle
        Whether a pickle of EDM may be opened. Opening one runs the code in it.
    ema
        Whether the running mean of the weights is taken from a checkpoint that has both it and the weights; False for no other source.
    device, dtype
        Where the network is put, and in which precision.

    Returns
    -------
    Loaded
        The network, its schedule, what it predicts, and the shape of its states.

    Raises
    ------
    ValueError
        If there is no such network, its weights are missing, corrupt or of another network, its prediction is unknown, or a pickle is
        not trusted.
    TypeError
        For a dtype that is none of torch's floats.

    Warns
    -----
    UserWarning
        Where the scheduler's configuration asks for clipping or thresholding, which is not applied, and before a pickle is opened.

    Examples
    --------
    >>> from bdia_numerics.torch import load
    >>> network = load()
    >>> network.prediction, network.shape
    ('eps', (1, 28, 28))
    """
    require_float("dtype", dtype)
    is_checkpoint = source is not None and Path(source).suffix in SUFFIXES and not Path(source).is_dir()
    own = "the shipped network" if source is None else f"source={shown(source)}"
    refuse(
        (
            not ema and not is_checkpoint,
            f"ema=False: only a checkpoint of DDIM's training has two sets of weights, and {own} is none: leave it out",
        )
    )
    if source is None:
        if not (UNET / "config.json").is_file():
            raise ValueError(
                "source=None: the shipped network is missing from this installation, pass a folder or a hub name"
            )
        source = UNET
    if Path(source).suffix in (".pkl", ".pickle"):
        network = edm_network(Path(source), trust=trust_pickle)
        channels, size = (getattr(network, name, None) for name in ("img_channels", "img_resolution"))
        shape = (int(channels), int(size), int(size)) if channels and size else None
        found = Loaded(network, schedules.edm(), "x0", shape, options={"time_scale": 1.0})
        return found.to(device, dtype or torch.float32)
    if is_checkpoint:
        return _of_ddim(Path(source), ema=ema).to(device, dtype or torch.float32)
    found = _from_folder(source, part, dtype or torch.float32).to(device)
    for note in found.altered:
        warnings.warn(note, stacklevel=2)
    return found


def _of_ddim(path: Path, *, ema: bool) -> Loaded:
    betas = {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}
    config = configs.from_mapping({"_class_name": "DDIMScheduler", "clip_sample": False, **betas})
    return described(ddim_unet(path, ema=ema), config)


def _from_folder(source: str | Path, part: str | None, dtype: torch.dtype) -> Loaded:
    wanted = (part,) if part else _PARTS
    folder = local(source, wanted)
    index, entries, part = read_json(folder / "model_index.json"), read_json(folder / "config.json") or {}, None
    if index is not None:
        named = [name for name in wanted if index.get(name)]
        if not named:
            raise ValueError(f"source={str(source)!r} has no {' or '.join(wanted)}: pass the folder of a model")
        part = named[0]
        kind = index[part]
        if not (isinstance(kind, list) and len(kind) == 2):
            raise ValueError(
                f"{folder / 'model_index.json'} has {part}={shown(kind)}, no pair of a library and a class: download it again"
            )
        entries = {"_class_name": kind[1]}
    network = network_of(folder, part, entries.get("_class_name"), dtype)
    said = (read_json(folder / name) for name in ("scheduler/scheduler_config.json", "scheduler_config.json"))
    config = next((configs.from_mapping(entries) for entries in said if entries is not None), None)
    if config is None:
        raise ValueError(
            f"source={str(source)!r} has no scheduler/scheduler_config.json, which says what the network was trained for: add it"
        )
    card = read_json(folder / CARD) or {}
    return described(network, config, (card, index or {}), data=card.get("data"))


def described(
    network: Any,
    config: configs.SchedulerConfig,
    places: tuple[Mapping[str, Any], ...] = (),
    *,
    data: str | None = None,
) -> Loaded:
    """Return a network of diffusers with what its own configuration and that of its scheduler say of it.

    Parameters
    ----------
    network
        The module.
    config
        Of its scheduler.
    places
        Mappings that may hold a null label, before the network's configuration.
    data
        What it was trained on.
    """
    own = network.config
    size = own.get("sample_size")
    height, width = size if isinstance(size, tuple | list) else (size, size)
    shape = (int(own.in_channels), int(height), int(width)) if height and own.get("in_channels") else None
    options = {} if config.preconditioned is None else {"time_scale": 1.0}
    if config.flow:
        options = {"time_scale": told_scale(network, float(config["num_train_timesteps"]))}
    kind = config.prediction
    prediction = kind if config.preconditioned is None else "x0"
    null = _null_label(network, (*places, own))
    return Loaded(network, schedule_of(config), prediction, shape, config, null, options=options, data=data)


_TOLD_TIMES = (
    "SD3Transformer2DModel", "SanaTransformer2DModel", "HunyuanVideoTransformer3DModel", "WanTransformer3DModel",
    "CogView4Transformer2DModel", "LTXVideoTransformer3DModel", "HiDreamImageTransformer2DModel", "PixArtTransformer2DModel",
)  # fmt: skip
_TOLD_LEVELS = (
    "FluxTransformer2DModel", "Flux2Transformer2DModel", "ChromaTransformer2DModel", "OvisImageTransformer2DModel",
    "LongCatImageTransformer2DModel", "QwenImageTransformer2DModel", "AuraFlowTransformer2DModel",
)  # fmt: skip


def told_scale(network: Any, length: float) -> float:
    """Return by what a flow-matching network wants sigma multiplied: T, or 1 where it multiplies by 1000 itself.

    Raises
    ------
    ValueError
        For a transformer of which that is not known, such as those that are told 1 - sigma.
    """
    name = type(network).__name__
    if name.startswith("UNet") or name in _TOLD_TIMES:
        return length
    if name in _TOLD_LEVELS:
        return 1.0
    raise ValueError(
        f"_class_name={shown(name)}: what this network is told as a time is not known here: make a NetworkModel of it with time_scale="
    )


def _null_label(network: Any, places: tuple[Mapping[str, Any], ...]) -> int | None:
    """Return the label for none that a model card, an index or a configuration records; DiT has it after its classes."""
    recorded = [place["null_label"] for place in places if place.get("null_label") is not None]
    if not recorded:
        return classes(network) - 1 if _is_dit(network) else None
    count = classes(network)
    if type(recorded[0]) is not int or not 0 <= recorded[0] < count:
        raise ValueError(
            f"null_label={recorded[0]!r}, as {CARD} or config.json records it, is not a label of this network, which has {count}: "
            "correct it"
        )
    return recorded[0]


def classes(network: Any) -> int:
    """Return how many labels a network has, that for none included; 0 where it takes none or does not say."""
    config = getattr(network, "config", None) or {}
    dit = config.get("num_embeds_ada_norm") if _is_dit(network) else None
    return int(config.get("num_class_embeds") or 0) if dit is None else int(dit) + 1


def _is_dit(network: Any) -> bool:
    return type(network).__name__ == "DiTTransformer2DModel"
