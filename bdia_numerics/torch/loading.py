"""Networks from files: the shipped one, folders and hub repositories of diffusers, pickles of EDM."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from bdia_numerics import configs, schedules
from bdia_numerics.grids import Grid
from bdia_numerics.schedules import Schedule
from bdia_numerics.torch.features import verdicts
from bdia_numerics.torch.files import UNET
from bdia_numerics.torch.models import NetworkModel
from bdia_numerics.torch.networks import NULL
from bdia_numerics.torch.pickles import edm_network
from bdia_numerics.torch.scheduling import make_grid, schedule_of

PREDICTIONS = {"epsilon": "eps", "sample": "x0", "v_prediction": "v", "flow_prediction": "velocity"}
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
    """

    network: Any
    schedule: Schedule
    prediction: str
    shape: tuple[int, int, int] | None = None
    config: configs.SchedulerConfig | None = None
    null_label: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def model(self, labels: Any = None, **options: Any) -> NetworkModel:
        """Return the network as a model.

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
        if labels is None and self.null_label is not None and not options.get("conditions"):
            raise ValueError(
                f"labels=None: this network is conditional, pass one label an image, {self.null_label} for none"
            )
        if labels is not None:
            given = torch.as_tensor(labels, dtype=torch.int64, device=next(self.network.parameters()).device)
            count = self._classes
            if count and not bool(((given >= 0) & (given < count)).all()):
                raise ValueError(f"labels={given.tolist()}: this network has the labels 0 to {count - 1}")
            options["conditions"] = {"class_labels": given, **options.get("conditions", {})}
            if self.null_label is not None and options.get("unconditional") is None:
                options["unconditional"] = {
                    **options["conditions"],
                    "class_labels": torch.full_like(given, self.null_label),
                }
        return NetworkModel(self.network, **options)

    def recognised(self, images: Any, labels: Any) -> int | None:
        """Return how many images the shipped classifier reads as their labels; None for networks of other images."""
        return None if labels is None or self.null_label is None else verdicts(images, labels)

    @cached_property
    def _classes(self) -> int:
        return int(getattr(getattr(self.network, "config", None), "num_class_embeds", None) or 0)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the scheduler would do and an exact solver does not."""
        if self.config is None:
            return ()
        said = [
            f"{key}=True is not applied: a clipped step cannot be inverted"
            for key in ("clip_sample", "thresholding")
            if self.config[key]
        ]
        return (
            (*said, "the scheduler adds noise in each step; here its ODE is solved")
            if self.config.stochastic
            else tuple(said)
        )

    def grid(self, n: int, spacing: str | None = None) -> Grid:
        """Return the grid of n slots that the scheduler's configuration describes; see `scheduling.make_grid`."""
        return make_grid(self.schedule, self.config, n, spacing)

    def to(self, *arguments: Any) -> Loaded:
        """Return it with the network moved to a device or dtype, in place as torch moves modules."""
        return replace(self, network=self.network.to(*arguments))


def load(
    source: str | Path | None = None,
    *,
    part: str | None = None,
    trust_pickle: bool = False,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> Loaded:
    """Load a network.

    Parameters
    ----------
    source
        None is the network of MNIST digits that is shipped. Else a folder of a diffusers pipeline or model, the name of
        such a repository on the Hugging Face hub, or a pickle of EDM. Weights are read from safetensors only.
    part
        Which part of a pipeline: "unet" or "transformer", whichever it has by default.
    trust_pickle
        Whether a pickle may be opened. Opening one runs the code in it.
    device, dtype
        Where the network is put, and in which precision.

    Raises
    ------
    ValueError
        If there is no such network, its weights are missing or corrupt, its prediction is unknown, or a pickle is not trusted.
    """
    if source is None:
        if not (UNET / "config.json").is_file():
            raise ValueError(
                "source=None: the shipped network is missing from this installation, pass a folder or a hub name"
            )
        return replace(load(UNET, device=device, dtype=dtype), null_label=NULL)
    if Path(source).suffix in (".pkl", ".pickle"):
        network = edm_network(Path(source), trust=trust_pickle)
        channels, size = (getattr(network, name, None) for name in ("img_channels", "img_resolution"))
        shape = (int(channels), int(size), int(size)) if channels and size else None
        return Loaded(network, schedules.edm(), "x0", shape, options={"time_scale": 1.0}).to(
            device, dtype or torch.float32
        )
    index = _json(source, "model_index.json")
    if index is None:
        return _model(source, None, _json(source, "config.json"), dtype).to(device)
    found = [name for name in ((part,) if part else _PARTS) if index.get(name)]
    if not found:
        raise ValueError(
            f"source={str(source)!r} has no {' or '.join((part,) if part else _PARTS)}: pass the folder of a model"
        )
    entries = {"_class_name": index[found[0]][1]}
    return _model(source, found[0], entries, dtype).to(device)


def _json(source: str | Path, name: str) -> dict[str, Any] | None:
    """Read a JSON file of a folder or a hub repository; None where it has none."""
    path = Path(source) / name
    if not Path(source).exists():
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import (
            EntryNotFoundError,
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
        )

        try:
            path = Path(hf_hub_download(str(source), name))
        except LocalEntryNotFoundError:
            raise ValueError(
                f"source={str(source)!r} is no folder here, and the hub cannot be reached: pass a local folder"
            ) from None
        except EntryNotFoundError:
            return None
        except (HfHubHTTPError, HFValidationError, OSError):
            raise ValueError(f"source={str(source)!r} is neither a folder here nor a repository of the hub") from None
    if not path.is_file():
        return None
    try:
        read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ValueError(f"{path} is no JSON: download the network again") from None
    return read


def _scheduler(source: str | Path) -> configs.SchedulerConfig | None:
    for name in ("scheduler/scheduler_config.json", "scheduler_config.json"):
        if (entries := _json(source, name)) is not None:
            return configs.from_mapping(entries)
    return None


def _model(source: str | Path, part: str | None, entries: dict[str, Any] | None, dtype: torch.dtype | None) -> Loaded:
    import diffusers

    name = (entries or {}).get("_class_name")
    make = getattr(diffusers, str(name), None)
    if entries is None or not hasattr(make, "from_pretrained"):
        raise ValueError(
            f"source={str(source)!r} holds no diffusers model: it needs config.json with _class_name, or model_index.json"
        )
    try:
        network: Any = make.from_pretrained(  # type: ignore[union-attr]
            str(source),
            subfolder=part,
            use_safetensors=True,
            low_cpu_mem_usage=False,
            torch_dtype=dtype or torch.float32,
        )
    except Exception as error:  # noqa: BLE001  diffusers, safetensors and torch each raise their own for a file that is missing or broken
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"source={str(source)!r}: its safetensors weights are missing or corrupt ({said})") from None
    config = _scheduler(source)
    if config is None:
        raise ValueError(
            f"source={str(source)!r} has no scheduler/scheduler_config.json, which says what the network was trained for: add it"
        )
    kind = str(config["prediction_type"])
    if kind not in PREDICTIONS:
        raise ValueError(f"prediction_type={kind!r} is none of {', '.join(PREDICTIONS)}")
    own = network.config
    size = own.get("sample_size")
    height, width = size if isinstance(size, tuple | list) else (size, size)
    shape = (int(own.in_channels), int(height), int(width)) if height and own.get("in_channels") else None
    options = {"time_scale": float(config["num_train_timesteps"])} if config.rule == "flow" else {}
    network.eval()
    return Loaded(network, schedule_of(config), PREDICTIONS[kind], shape, config, options=options)
