"""Images as tensors (batch, channels, height, width) with values from 0 to 1, and as latents of an autoencoder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bdia_numerics.texts import shown
from bdia_numerics.torch.networks.models import is_out_of_memory


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
        1 turns colours into grey, the luma of ITU-R BT.601 as Pillow has it; 3 grey into colours.

    Raises
    ------
    ValueError
        For what is not an image, transparent parts, values outside 0 to 1, images of different sizes.
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
        # A transparent pixel has a colour that no viewer shows, such as the background that was cut out.
        if given.has_transparency_data and given.convert("RGBA").getextrema()[3][0] < 255:
            raise ValueError(f"{name} has transparent parts: lay it on a background of one colour, and save that")
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
        x = (x * x.new_tensor([299, 587, 114]).reshape(3, 1, 1)).sum(1, keepdim=True) / 1000
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
    except Image.DecompressionBombError:
        raise ValueError(f"{name}={shown(str(path))} has more pixels than a network can take: resize it") from None
    except (UnidentifiedImageError, OSError, ValueError):
        raise ValueError(f"{name}={shown(str(path))} is not a picture: pass a file such as photo.png") from None


def pictures(x: torch.Tensor) -> list[Any]:
    """Return images (batch, channels, height, width), values from 0 to 1, as PIL images."""
    from PIL import Image

    made = (x.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(one[..., 0] if one.shape[-1] == 1 else one) for one in made]


@contextmanager
def enough_memory(x: torch.Tensor) -> Iterator[None]:
    """Say of what runs out of memory inside what to change."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise torch.OutOfMemoryError(
            f"out of memory on {x.device} at states of shape {tuple(x.shape)}: take a smaller image, or a narrower dtype such as float16"
        ) from error


@dataclass(frozen=True)
class Codec:
    """An autoencoder, or None for a network of pixels: images in [0, 1] to latents and back.

    The mean of the encoder's distribution is taken, so that one image has one latent.
    """

    vae: Any = None

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the latents of images (batch, channels, height, width)."""
        return 2 * x - 1 if self.vae is None else self._through(self.vae.encode, 2 * x - 1)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Return the images of latents, values cut to [0, 1]."""
        x: torch.Tensor = z if self.vae is None else self._through(self.vae.decode, z)
        return (x / 2 + 0.5).clamp(0, 1).double().cpu()

    @torch.no_grad()
    def _through(self, way: Any, x: torch.Tensor) -> Any:
        own = self.vae.dtype
        upcast = bool(self.vae.config.get("force_upcast")) and own == torch.float16
        if upcast:
            self.vae.to(torch.float32)
        try:
            with enough_memory(x):
                return self._moved(way, x)
        finally:
            if upcast:
                self.vae.to(own)

    def _moved(self, way: Any, x: torch.Tensor) -> Any:
        config, weight = self.vae.config, next(self.vae.parameters())
        shift, spread = (
            torch.as_tensor(0.0 if value is None else value, dtype=x.dtype, device=x.device).reshape(-1, 1, 1)
            for value in (config.get("latents_mean") or config.get("shift_factor"), config.get("latents_std") or 1.0)
        )
        scale = config.get("scaling_factor") or 1.0
        if way == self.vae.encode:
            coded = way(x.to(weight.device, weight.dtype))
            found = coded.latents if hasattr(coded, "latents") else coded.latent_dist.mode()  # of a tiny one
            return (found.to(x.device, x.dtype) - shift) * scale / spread
        found = way((x * spread / scale + shift).to(weight.device, weight.dtype), return_dict=False)[0]
        return found.to(x.device, x.dtype)
