"""The autoencoder of a pipeline: images to latents and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from bdia_numerics.torch.networks.models import is_out_of_memory


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
        found: torch.Tensor = 2 * x - 1 if self.vae is None else self._through(self.vae.encode, 2 * x - 1)
        return found

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
            found = way(x.to(weight.device, weight.dtype)).latent_dist.mode().to(x.device, x.dtype)
            return (found - shift) * scale / spread
        found = way((x * spread / scale + shift).to(weight.device, weight.dtype), return_dict=False)[0]
        return found.to(x.device, x.dtype)
