"""Checkpoints of the U-Net of DDIM (Song et al. 2021), as the repositories of DDIM and PNDM save it, as UNet2DModel of diffusers."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from bdia_numerics.texts import refuse, shown

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
