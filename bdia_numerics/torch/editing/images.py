"""Images as tensors and back: shape (batch, channels, height, width), values from 0 to 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from bdia_numerics.texts import shown


def pixels(name: str, given: Any, channels: int) -> torch.Tensor:
    """Return an image, or a list of them, as a tensor of shape (batch, channels, height, width), float64, values from 0 to 1.

    Parameters
    ----------
    name
        Of the argument, for messages.
    given
        A PIL image; the path of one, which is turned as a camera has noted in it; a NumPy array (height, width[, channels]) or a tensor
        ([batch, ]channels, height, width) of bytes or of floats from 0 to 1; or a list of such.
    channels
        1 turns colours into grey, 3 grey into colours.

    Raises
    ------
    ValueError
        For what is not an image, values outside 0 to 1, images of different sizes.
    """
    if isinstance(given, list | tuple):
        parts = [pixels(name, one, channels) for one in given]
        if len({part.shape[1:] for part in parts}) != 1:
            sizes = ", ".join(f"{part.shape[-1]}x{part.shape[-2]}" for part in parts) or "none"
            raise ValueError(f"{name} has images of sizes {sizes}: pass one or more of one size")
        return torch.cat(parts)
    if isinstance(given, str | Path):
        given = opened(name, given)
    if hasattr(given, "convert"):
        if given.mode.startswith(("I", "F")):
            raise ValueError(
                f"{name} is a picture of mode {given.mode}, whose range is not known: convert it to 8 bits"
            )
        given = np.asarray(given.convert("L" if channels == 1 else "RGB"))
    if isinstance(given, np.ndarray) and given.ndim in (2, 3):
        given = torch.from_numpy(np.array(given))
        given = given[None] if given.ndim == 2 else given.permute(2, 0, 1)
    if isinstance(given, torch.Tensor) and given.ndim in (3, 4):
        x = (given if given.ndim == 4 else given[None]).detach().double().cpu() / (
            255 if given.dtype == torch.uint8 else 1
        )
    else:
        shape = f" of shape {tuple(given.shape)}" if hasattr(given, "shape") else ""
        raise ValueError(
            f"{name} is a {type(given).__name__}{shape}: pass a PIL image, its path, an array or a tensor of pixels"
        )
    if (x.shape[1], channels) == (3, 1):
        x = x.mean(1, keepdim=True)
    elif x.shape[1] == 1:
        x = x.expand(-1, channels, -1, -1)
    if x.shape[1] != channels:
        raise ValueError(f"{name} has {x.shape[1]} channels: pass an image of {channels}")
    if not bool(((x >= 0) & (x <= 1)).all()):
        raise ValueError(
            f"{name} has values from {float(x.min()):.3g} to {float(x.max()):.3g}: pass bytes, or floats from 0 to 1"
        )
    return x


def opened(name: str, path: str | Path) -> Any:
    """Return the picture in a file; ValueError where there is none."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return ImageOps.exif_transpose(picture)
    except FileNotFoundError:
        raise ValueError(f"{name}={shown(str(path))}: there is no such file") from None
    except (UnidentifiedImageError, OSError, ValueError):
        raise ValueError(f"{name}={shown(str(path))} is not a picture: pass a file such as photo.png") from None


def pictures(x: torch.Tensor) -> list[Any]:
    """Return images (batch, channels, height, width), values from 0 to 1, as PIL images."""
    from PIL import Image

    made = (x.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(one[..., 0] if one.shape[-1] == 1 else one) for one in made]
