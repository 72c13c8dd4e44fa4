"""How well an inversion returns, how far its latents are from the network's own, and what edits changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch

from bdia_numerics.analysis import inverse_growth
from bdia_numerics.runs.stepwise import come_back
from bdia_numerics.texts import refuse
from bdia_numerics.torch.editing.images import pixels
from bdia_numerics.torch.networks.sampling import latent_reference, rms
from bdia_numerics.torch.networks.steadiness import Repeatability, repeatability


@dataclass(frozen=True)
class Report:
    """Numbers of one inversion. Errors are root mean squares over all elements; those of images are of values from 0 to 1.

    Attributes
    ----------
    status : str
        "ok", or what went wrong on the way back.
    inversion : str
        What took the image to noise.
    differing, elements : int
        Elements of the reconstruction's latents that differ from the image's, in the dtype of the network, and how many there are.
    latents_error : float
        Of the reconstruction's latents.
    image_error, autoencoder_error : float
        Of the reconstruction, and of the image that was encoded and decoded without a run: the part that no solver can mend.
    mean, std, noise_std : float
        Mean and standard deviation of the latents z_N; near 0 and `noise_std` for noise about data of variance 1.
    latents_distance, latents_uncertainty : float or None
        Of the latents from the network's own ODE through the image, and the estimated error of that; None where it was not asked for.
    amplification : float or None
        What the inverse multiplies a perturbation by at most, predicted for Gaussian data of variance 1; None without an exact inverse.
    repeatability : Repeatability or None
        What the network's output depends on besides its input.
    nfe, back_nfe : int
        Evaluations of the network there and back.
    seconds, back_seconds : float
        Wall-clock times.
    psnr : tuple of float
        Peak signal-to-noise ratio of each edit against the source in decibels, outside the mask if there is one.
    """

    status: str
    inversion: str
    differing: int
    elements: int
    latents_error: float
    image_error: float
    autoencoder_error: float
    mean: float
    std: float
    noise_std: float
    latents_distance: float | None
    latents_uncertainty: float | None
    amplification: float | None
    repeatability: Repeatability | None
    nfe: int
    back_nfe: int
    seconds: float
    back_seconds: float
    psnr: tuple[float, ...] = ()

    def lines(self) -> list[str]:
        """Return the numbers in sentences."""
        equal = f"all {self.elements} elements of the latents are equal"
        other = f"{self.differing} of {self.elements} elements of the latents differ, by {self.latents_error:.2g} (root mean square)"
        lines = [
            f"{self.inversion}: {self.nfe} evaluations there in {self.seconds:.1f} s, {self.back_nfe} back in {self.back_seconds:.1f} s",
            f"reconstruction: {other if self.differing else equal}",
            f"image error {self.image_error:.2g} of the range, of which the autoencoder alone makes {self.autoencoder_error:.2g}",
            f"latents: mean {self.mean:.3f}, standard deviation {self.std:.3f} (0 and {self.noise_std:.3g} for noise)",
        ]
        if self.status != "ok":
            lines.insert(1, self.status)
        if self.latents_distance is not None:
            lines.append(
                f"latents are {self.latents_distance:.3g} from the network's own ODE (known to {self.latents_uncertainty:.1g})"
            )
        if self.amplification is not None:
            lines.append(
                f"the inverse multiplies a perturbation by {self.amplification:.2g} at most, for Gaussian data"
            )
        if self.repeatability is not None:
            probes = self.repeatability.probes
            changed = ", ".join(name for name, found in probes.items() if found.differing)
            found = f"differs by up to {self.repeatability.largest:.1g}" if changed else "the same"
            lines.append(f"output of the network at one state: {found} ({changed or ', '.join(probes)})")
        said = ("is not finite" if math.isnan(value) else f"{value:.1f} dB from the source" for value in self.psnr)
        return lines + [f"edit {k}: {what}" for k, what in enumerate(said, 1)]


def psnr(image: torch.Tensor, source: torch.Tensor, mask: Any = None) -> float:
    """Return the peak signal-to-noise ratio of images against others, in decibels, infinite for equal ones.

    Parameters
    ----------
    image, source
        Shape (batch, channels, height, width), values from 0 to 1.
    mask
        An image whose white part, values above 1/2, is left out; its shape (..., height, width).

    Raises
    ------
    ValueError
        For images of another shape, for a mask of another size or number, or one that leaves nothing.

    Examples
    --------
    >>> import torch
    >>> psnr(torch.full((1, 1, 2, 2), 0.1), torch.zeros(1, 1, 2, 2))
    20.0
    """
    refuse(
        (
            image.shape != source.shape,
            f"image has shape {tuple(image.shape)}, the source {tuple(source.shape)}: pass an edit of that inversion",
        )
    )
    kept = torch.ones_like(source)
    if mask is not None:
        white = pixels("mask", mask, 1)
        refuse(
            (
                white.shape[-2:] != source.shape[-2:],
                f"mask is {white.shape[-1]}x{white.shape[-2]}, the image {source.shape[-1]}x{source.shape[-2]}: pass one of its size",
            ),
            (
                len(white) not in (1, len(source)),
                f"mask has {len(white)} images, and the source {len(source)}: pass one for all, or one for each",
            ),
            (
                bool((white > 0.5).all()),
                "mask is white everywhere, and nothing is left outside it: pass one that is black where the source is to stay",
            ),
            (
                0 < float(white.max()) <= 0.5,
                f"mask has values up to {float(white.max()):.2g}, and nothing is inside it: make its white part 255 of bytes, or 1",
            ),
        )
        kept = (white <= 0.5).to(source).expand_as(source)
    error = float(((image - source).square() * kept).sum() / kept.sum())
    return round(-10 * math.log10(error), 6) if error else math.inf


def report_of(inv: Any, back: Any, *, fine: int, edits: Sequence[Any], mask: Any, repeats: bool) -> Report:
    """Return the report of an inversion and its reconstruction; see `Inversion.report`."""
    setting, kept, x = inv.setting, inv.kept, inv.data
    codec, kind = setting.pipe.codec, setting.pipe.network.dtype
    if mask is not None:
        psnr(inv.source, inv.source, mask)  # refuses it also where there are no edits
    psnrs = tuple(psnr(one.images, inv.source, mask) for one in edits)
    error = rms(back.latents - x)
    status = come_back(back.status, error, rms(x), exact=inv.exact) if kept.status.ok else kept.status
    distance = uncertainty = None
    model = setting.model(inv.condition, inv.guidance)
    evaluations = setting.evaluations
    if fine:
        truth = latent_reference(model, setting.grid, x, fine)
        distance, uncertainty = rms(kept.z - truth.z), truth.error
    steady = None
    if repeats:
        condition = inv.condition[:1] if isinstance(inv.condition, list) else inv.condition
        asked, states = model, kept.z.to(kind)
        with suppress(ValueError):  # of negative prompts or control images, one for each image
            asked, states = setting.model(condition, inv.guidance), torch.cat([states[:1], states[:1]])
        steady = repeatability(asked, states, setting.grid.t[max(setting.grid.n // 2, 1)])
    setting.evaluations = evaluations
    return Report(
        status=str(status),
        inversion=kept.inversion,
        differing=int((back.latents.to(kind) != x.to(kind)).sum()),
        elements=x.numel(),
        latents_error=error,
        image_error=rms(back.images - inv.source),
        autoencoder_error=rms(codec.decode(x) - inv.source),
        mean=float(kept.z.double().mean()),
        std=float(kept.z.double().std()),
        noise_std=math.hypot(setting.grid.alpha[-1], setting.grid.sigma[-1]),
        latents_distance=distance,
        latents_uncertainty=uncertainty,
        amplification=_growth(inv) if inv.exact else None,
        repeatability=steady,
        nfe=inv.nfe,
        back_nfe=back.nfe,
        seconds=inv.seconds,
        back_seconds=back.seconds,
        psnr=psnrs,
    )


def _growth(inv: Any) -> float | None:
    """Return the amplification of the inverse; that of z, of which nothing is data at alpha = 0, ends a slot before."""
    grid = inv.setting.grid
    if float(grid.alpha[-1]) == 0:
        grid = grid[: grid.n - 1]
    return inverse_growth(inv.way.solver, grid, inv.setting.pipe.prediction)
