"""Files of networks: folders and hub repositories of diffusers, the shipped ones, pickles of EDM, and checkpoints of DDIM's U-Net."""

from __future__ import annotations

import json
import logging
import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from bdia_numerics.spaces.precision import Shared
from bdia_numerics.texts import refuse, shown

WEIGHTS = Path(__file__).parent / "weights"
UNET = WEIGHTS / "mnist"
CLASSIFIER = WEIGHTS / "mnist_classifier.safetensors"
REAL = WEIGHTS / "mnist_features.safetensors"
"""Moments of the features of the test images, and the features of 1,000 training images."""

CARD = "model_card.json"
"""Beside a network's config.json: {"data": "mnist", "null_label": 10}, the label that stands for none."""

PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model-*-of-*.safetensors")


def local(source: str | Path, parts: tuple[str, ...]) -> Path:
    """Return the folder of a network, downloaded where it is a repository of the hub.

    Parameters
    ----------
    source
        A folder here, or the name of a repository.
    parts
        Folders of a pipeline whose weights may be wanted; nothing else of it that is large is downloaded.

    Raises
    ------
    ValueError
        If there is no such folder and no such repository, or the hub cannot be reached.
    """
    path = Path(source)
    if path.is_dir():
        return path
    said = f"source={str(source)!r}"
    refuse(
        (path.is_file() or path.suffix == ".json", f"{said} is a file: pass the folder that holds it with config.json"),
    )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.json", *(f"{part}{name}" for part in ("", *(f"{p}/" for p in parts)) for name in _WEIGHTS)]
    try:
        with quiet():
            return Path(snapshot_download(str(source), allow_patterns=wanted))
    except LocalEntryNotFoundError:
        raise ValueError(f"{said} is not a folder here, and the hub cannot be reached: pass a local folder") from None
    except (HfHubHTTPError, HFValidationError, OSError):
        raise ValueError(f"{said} is neither a folder here nor a repository of the hub: check its name") from None


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the content of a JSON file, None where there is none; ValueError unless it holds an object."""
    if not path.is_file():
        return None
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ValueError(f"{path} is not JSON: download the network again") from None
    if not isinstance(read, dict):
        raise ValueError(f"{path} holds no object of JSON, which begins with a brace: download the network again")  # noqa: TRY004  the file is at fault
    return read


def network_of(folder: Path, part: str | None, name: str | None, dtype: torch.dtype) -> Any:
    """Return a diffusers model of a folder, in evaluation mode, with every one of its weights read and finite.

    Parameters
    ----------
    folder
        Of the model or of the pipeline.
    part
        Its folder in that of a pipeline.
    name
        Its class.
    dtype
        Of its weights.

    Raises
    ------
    ValueError
        For an unknown class, and for weights that are missing, corrupt, of another network, or not finite.
    """
    import diffusers

    place = folder / part if part else folder
    make: Any = getattr(diffusers, str(name), None)
    if name is None:
        raise ValueError(
            f"source={str(folder)!r} holds no diffusers model: it needs config.json with _class_name, or model_index.json"
        )
    # A pipeline or a scheduler has from_pretrained, too, and a pipeline may import code that its folder names.
    if not (isinstance(make, type) and issubclass(make, diffusers.ModelMixin)):
        raise ValueError(  # noqa: TRY004  the folder is at fault
            f"_class_name={shown(name)} in {place} is not a model of diffusers {diffusers.__version__}: upgrade it, or give another folder"
        )
    _check_files(place)
    try:
        with quiet():
            network, found = make.from_pretrained(  # type: ignore[no-untyped-call]
                str(place), use_safetensors=True, low_cpu_mem_usage=False, torch_dtype=dtype, output_loading_info=True
            )
    except Exception as error:  # noqa: BLE001  diffusers and torch each raise their own for a configuration or weights that do not fit
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"{place}: config.json and the weights make no {name} ({said}): download both again") from None
    if lacking := sorted(found["missing_keys"]):
        raise ValueError(
            f"{place}: the weights lack {lacking[0]} ({len(lacking)} such), they are of another network than config.json: "
            "download both again"
        )
    if unused := sorted(found["unexpected_keys"]):
        warnings.warn(
            f"{place}: {unused[0]} ({len(unused)} such) is in the weights and not in the network, and is not used",
            stacklevel=5,
        )
    for key, value in network.state_dict().items():
        if not bool(value.isfinite().all()):
            narrow = ", or pass dtype=torch.float32" if dtype == torch.float16 else ""
            raise ValueError(f"{place}: {key} holds NaN or infinite values: download the network again{narrow}")
    return network.eval()


def _check_files(place: Path) -> None:
    weights = sorted(place.glob("*.safetensors"))
    if not weights:
        pickled = sorted(p.name for p in place.glob("*") if p.suffix in PICKLES)
        remedy = (
            f"{pickled[0]} is a pickle, which is never opened: have its author save it with safe_serialization=True"
            if pickled
            else "download the network again"
        )
        raise ValueError(f"{place} has no weights in safetensors: {remedy}")
    for path in weights:
        try:
            with safe_open(path, framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} is truncated or corrupt ({error}): download the network again") from None


def edm_network(path: Path, *, trust: bool) -> torch.nn.Module:
    """Return the network of one of EDM's pickles: a dict whose "ema" is D(x, sigma, class_labels).

    A pickle is a program: it is opened only when the caller says so.

    Raises
    ------
    ValueError
        Unless `trust` says that its code may be run; for a file that is missing or no such pickle.
    """
    source = f"source={str(path)!r}"
    refuse(
        (
            not trust,
            f"{source} is a pickle, and opening it runs the code in it: pass trust_pickle=True if you trust its author",
        ),
        (not path.is_file(), f"{source}: there is no such file"),
    )
    warnings.warn(f"{path.name} is a pickle: its code is run", stacklevel=4)
    try:
        with path.open("rb") as file:
            content = pickle.load(file)
    except ModuleNotFoundError as error:
        raise ValueError(f"{source} needs the module {error.name}: put the checkout of EDM on PYTHONPATH") from None
    except Exception as error:  # noqa: BLE001  the code in it may raise anything
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ValueError(f"{source} is not a readable pickle ({said}): download it again") from None
    network = content.get("ema") if isinstance(content, Mapping) else content
    if not isinstance(network, torch.nn.Module):
        kind = type(network).__name__
        raise ValueError(f"{source} holds a {kind}, not the 'ema' network of EDM's pickles")  # noqa: TRY004  the file is at fault
    return network.eval()


def _level(name: str) -> Shared:
    logger = logging.getLogger(name)
    return Shared(lambda: logger.level, logger.setLevel)


_LEVELS = [_level(name) for name in ("diffusers", "huggingface_hub", "transformers")]


@contextmanager
def quiet() -> Iterator[None]:
    """Let diffusers, transformers and the hub's client log nothing: what is wrong is raised, in one line."""
    with ExitStack() as stack:
        for level in _LEVELS:
            stack.enter_context(level.at_least(logging.CRITICAL + 1))
        yield


SUFFIXES = (".ckpt", ".pth", ".pt", ".bin", ".safetensors")
ATTENTION = 16
"""Side of the feature maps that have attention, in every configuration of that repository; the weights do not say it."""
_NAMES = (
    (r"^time_embedding\.linear_1", "temb.dense.0"), (r"^time_embedding\.linear_2", "temb.dense.1"), (r"^conv_norm_out", "norm_out"),
    (r"^mid_block\.resnets\.0", "mid.block_1"), (r"^mid_block\.resnets\.1", "mid.block_2"), (r"^mid_block\.attentions\.0", "mid.attn_1"),
    (r"^(down|up)_blocks", r"\1"), (r"\.resnets\.", ".block."), (r"\.attentions\.", ".attn."), (r"\.(down|up)samplers\.0", r".\1sample"),
    (r"\.time_emb_proj", ".temb_proj"), (r"\.conv_shortcut", ".nin_shortcut"), (r"\.group_norm", ".norm"), (r"\.to_([qkv])", r".\1"),
    (r"\.to_out\.0", ".proj_out"),
)  # fmt: skip
"""What stands in names of diffusers, and in the same place in those of DDIM, but that the levels of `up` count from the other end."""


_OTHERS = "the U-Net of DDIM with its other weights: is it the right file?"


def ddim_unet(path: Path, *, ema: bool = True) -> Any:
    """Return the network of a checkpoint as a `diffusers.UNet2DModel` in float32, in evaluation mode.

    The configuration is read from the shapes of the weights: channels, multipliers, blocks a level, and where attention is. The size of
    the images follows from that place, since attention stands at a side of 16.

    Parameters
    ----------
    path
        A state dict in safetensors or in a file of torch.save; or the list that the training of DDIM saves, [network, optimiser, epoch,
        step, running mean of the network's weights].
    ema
        Whether the running mean is taken from such a list, or the network itself.

    Raises
    ------
    ValueError
        For a file that is missing, damaged, or holds more than tensors; for a list without a running mean that is to be taken; for weights
        that are none of this network, with the first key and its shapes; for weights that are not finite.
    """
    said = f"source={str(path)!r}"
    weights = _state_dict(said, _read(said, path), ema=ema)
    for key, value in weights.items():
        refuse(
            (
                not value.is_floating_point(),
                f"{said}: {key} holds {value.dtype}, and weights are floats: is it the right file?",
            ),
            (
                value.layout != torch.strided or value.is_meta,
                f"{said}: {key} is sparse, or has no values: save it as a plain tensor",
            ),
        )
        refuse((not bool(value.isfinite().all()), f"{said}: {key} holds NaN or infinite values: download it again"))
    from diffusers import UNet2DModel

    network: Any = UNet2DModel(**_configuration(said, weights))  # type: ignore[no-untyped-call]
    levels, left = len(network.config["block_out_channels"]), dict(weights)
    found: dict[str, torch.Tensor] = {}
    for key, wanted in network.state_dict().items():
        name = _original(key, levels)
        if name not in left:
            raise ValueError(f"{said} lacks {name}, {_shape(wanted)} in {_OTHERS}")
        value = left.pop(name)
        if value.ndim == wanted.ndim + 2 and value.shape[2:] == (
            1,
            1,
        ):  # a convolution that diffusers has as a linear layer
            value = value[..., 0, 0]
        if value.shape != wanted.shape:
            raise ValueError(f"{said}: {name} has shape {_shape(value)}, and {_shape(wanted)} in {_OTHERS}")
        found[key] = value
    if left:
        name, value = next(iter(left.items()))
        raise ValueError(f"{said} has {name}, {_shape(value)}, which is not in {_OTHERS}")
    network.load_state_dict(found)
    return network.eval()


def _read(said: str, path: Path) -> Any:
    refuse((not path.is_file(), f"{said}: there is no such file"))
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError, SafetensorError, OSError, RuntimeError, EOFError, ValueError, TypeError, LookupError,
    ) as error:  # fmt: skip
        why = " ".join(f"{type(error).__name__}: {error}".split())
        if culprit := re.search(r"GLOBAL ([\w.]+)", why):
            raise ValueError(
                f"{said} holds more than tensors ({culprit[1]}), and is not opened, since that would run its code: "
                "have its author save the state dict alone"
            ) from None
        raise ValueError(f"{said} is damaged, or no file of torch.save ({why[:120]}): download it again") from None


def _state_dict(said: str, content: Any, *, ema: bool) -> dict[str, torch.Tensor]:
    """Return the weights by name, without the prefix of DataParallel."""
    several = isinstance(content, list | tuple)
    if several and content:
        refuse(
            (
                ema and _is_state_dict(content[0]) and not _is_state_dict(content[-1]),
                f"{said} is a list of training without the running mean of the weights: take the network's own by ema=False",
            )
        )
        content = content[-1 if ema else 0]
    if not _is_state_dict(content):
        inside = f" with {shown(list(content)[:3])}" if isinstance(content, Mapping) else ""
        raise ValueError(
            f"{said} holds {type(content).__name__}{inside}, no state dict: save network.state_dict(), tensors by name"
        )
    found = {str(key).removeprefix("module."): value for key, value in content.items()}
    refuse(
        (
            not ema and not several,
            f"{said} has one set of weights, and ema=False takes the network's own of two: leave it out",
        ),
        (
            len(found) < len(content),
            f"{said} has some weights twice, with and without the prefix module.: save one set of them",
        ),
    )
    return {key: value.float() if value.is_floating_point() else value for key, value in found.items()}


def _is_state_dict(content: Any) -> bool:
    return isinstance(content, Mapping) and bool(content) and all(isinstance(x, torch.Tensor) for x in content.values())


def _configuration(said: str, weights: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Return the arguments of the UNet2DModel that has these weights."""
    for key in ("conv_in.weight", "conv_out.weight", "temb.dense.0.weight", "down.0.block.0.conv1.weight"):
        if key in weights and weights[key].ndim < 2:
            raise ValueError(
                f"{said}: {key} has shape {_shape(weights[key])}, and two or more axes in the U-Net of DDIM: is it the right file?"
            )
        if key not in weights:
            first, value = next(iter(weights.items()))
            raise ValueError(
                f"{said} lacks {key}, which the U-Net of DDIM has; its first key is {first}, {_shape(value)}: give one of its checkpoints, "
                "or a folder of diffusers"
            )
    count = 1 + max(
        int(found[1]) for key in weights if (found := re.match(r"down\.(\d+)\.block\.0\.conv1\.weight", key))
    )
    widths = [
        len(weights[f"down.{k}.block.0.conv1.weight"])
        for k in range(count)
        if f"down.{k}.block.0.conv1.weight" in weights
    ]
    attended = [k for k in range(count) if f"down.{k}.attn.0.q.weight" in weights]
    refuse(
        (
            len(attended) != 1,
            f"{said} has attention on {len(attended)} levels, and the U-Net of DDIM on one: is it the right file?",
        ),
        (
            any(width % 32 for width in widths),
            f"{said} has {widths} channels, which its norms of 32 groups cannot have: is it the right file?",
        ),
    )
    layers = sum(key.startswith("down.0.block.") and key.endswith(".conv1.weight") for key in weights)
    down = ["AttnDownBlock2D" if k in attended else "DownBlock2D" for k in range(count)]
    return {
        "sample_size": ATTENTION * 2 ** attended[0], "in_channels": weights["conv_in.weight"].shape[1],
        "out_channels": len(weights["conv_out.weight"]), "block_out_channels": tuple(widths), "layers_per_block": layers,
        "down_block_types": tuple(down), "up_block_types": tuple(name.replace("Down", "Up") for name in reversed(down)),
        "norm_num_groups": 32, "norm_eps": 1e-6, "attention_head_dim": None, "downsample_padding": 0, "flip_sin_to_cos": False,
        "freq_shift": 1,
    }  # fmt: skip


def _original(key: str, levels: int) -> str:
    """Return the name that the checkpoint has for a weight of diffusers."""
    for new, old in _NAMES:
        key = re.sub(new, old, key)
    return re.sub(r"^up\.(\d+)", lambda found: f"up.{levels - 1 - int(found[1])}", key)


def _shape(value: torch.Tensor) -> str:
    return f"({', '.join(map(str, value.shape))})"
