"""Features of images by what a user gives: a TorchScript file, or a function; and images as files hold them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bdia_numerics import names
from bdia_numerics.texts import refuse, shown
from bdia_numerics.torch.networks import features as shipped

Extractor = Callable[[torch.Tensor], torch.Tensor]
"""Images of bytes, shape (n, 3, height, width), uint8 from 0 to 255, to features, shape (n, d), floats."""
SIDE = 256
"""Of the images that `as_small_jpeg` returns."""


def extractor(text: str, device: str) -> Extractor:
    """Return the function of images to features that a text names.

    Parameters
    ----------
    text
        The path of a TorchScript file (.pt), which is called with the images alone; `module:function`, of a file in the present folder; or
        empty for the shipped classifier of digits.
    device
        Where a TorchScript module is put; images come to either on this device.

    Raises
    ------
    ValueError
        For a file that is missing or no TorchScript, a module or function that is not there, and a text that names neither.
    """
    if not text:
        return _of_digits
    if Path(text).suffix == ".pt":
        said = f"features={text!r}"
        refuse((not Path(text).is_file(), f"{said}: there is no such file"))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit, in which these files are
                load: Any = torch.jit.load
                module: Extractor = load(text, map_location=device).eval()
        except (RuntimeError, ValueError, OSError) as error:
            why = " ".join(str(error).split())[:80]
            raise ValueError(
                f"{said} is not a TorchScript file ({why}): save one by torch.jit.save, or give module:function"
            ) from None
        return module
    refuse(
        (
            ":" not in text,
            f"features={shown(text)} is neither a TorchScript file (.pt) nor module:function: give either",
        )
    )
    function, positional, named = names.read("features", text, {})
    if positional or named or not callable(function):
        raise ValueError(f"features={shown(text)}: give module:function, of a function that takes the images alone")
    return function


def _of_digits(images: torch.Tensor) -> torch.Tensor:
    size = "x".join(map(str, images.shape[1:]))
    said = f"features='': the shipped classifier reads digits of 1x28x28, and the images are {size}"
    refuse((size != "1x28x28", f"{said}: give the network that made the moments"))
    return torch.from_numpy(shipped.features(images.float() / 127.5 - 1))


def features_of(images: torch.Tensor, extract: Extractor, columns: int | None = None) -> np.ndarray[Any, Any]:
    """Return the features of images as float64, shape (n, d).

    Parameters
    ----------
    images
        Of bytes, shape (n, channels, height, width).
    extract
        What `extractor` returns.
    columns
        The d that is wanted.

    Raises
    ------
    ValueError
        For features of another shape or dtype, and such as are not finite.
    """
    with torch.inference_mode():
        found = extract(images)
    said = f"features of {len(images)} images"
    if not isinstance(found, torch.Tensor):
        raise ValueError(f"{said} are a {type(found).__name__}: return a tensor of shape ({len(images)}, d)")  # noqa: TRY004  a file's fault
    shape, wanted = tuple(found.shape), "d" if columns is None else columns
    refuse(
        (found.ndim != 2 or len(found) != len(images), f"{said} have shape {shape}: return ({len(images)}, {wanted})"),
        (not found.is_floating_point(), f"{said} are of {found.dtype}: return floats"),
    )
    refuse(
        (
            columns is not None and shape[1] != columns,
            f"{said} have {shape[1]} columns, and the reference {columns}: take both from one network",
        ),
        (
            not bool(found.isfinite().all()),
            f"{said} hold NaN or infinite values: mend the function, or look at the images",
        ),
    )
    return found.double().cpu().numpy()


def as_bytes(x: torch.Tensor, *, rounded: bool = True) -> torch.Tensor:
    """Return images with values from -1 to 1 as files hold them: cut there, rounded to the nearest of 0 to 255 or down, uint8."""
    return (x * 127.5 + (128 if rounded else 127.5)).clamp(0, 255).to(torch.uint8)


def as_small_jpeg(images: torch.Tensor) -> torch.Tensor:
    """Return images of bytes with a shorter side of 256, by means over squares and cut to bytes, after a JPEG of quality 95.

    That is what `image_resize.py` of the BDIA repository does by OpenCV's INTER_AREA before FID is taken. Smaller images keep their size.

    Raises
    ------
    ValueError
        For sides that 256 does not divide, where INTER_AREA takes other means.
    """
    from PIL import Image

    high, wide = images.shape[-2:]
    square = max(1, min(high, wide) // SIDE)
    refuse(
        (
            min(high, wide) > SIDE and (min(high, wide) % SIDE or high % square or wide % square),
            f"images of {wide}x{high} are not resized here: sample sides that are multiples of {SIDE}",
        )
    )
    small = (torch.nn.functional.avg_pool2d(images.double() / 255, square) * 255).to(torch.uint8)
    read = []
    for one in small.permute(0, 2, 3, 1).cpu().numpy():
        with io.BytesIO() as file:
            Image.fromarray(one).save(file, "JPEG", quality=95)
            read.append(np.array(Image.open(file)))
    return torch.from_numpy(np.stack(read)).permute(0, 3, 1, 2).to(images.device)
