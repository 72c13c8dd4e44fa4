"""Features of images by the shipped classifier of MNIST digits, which also reads samples, or by what a user gives."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from bdia_numerics import names
from bdia_numerics.texts import refuse, shown
from bdia_numerics.torch.networks.folders import CLASSIFIER, REAL

Array = np.ndarray[Any, Any]
CLASSES, FEATURES = 10, 64
_BATCH = 500


class Classifier(nn.Module):
    """A convolutional network of three layers: images (n, 1, 28, 28) in [-1, 1] to logits (n, 10)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((1, 16), (16, 32), (32, 64)):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 3 * 3, FEATURES), nn.ReLU())
        self.head = nn.Linear(FEATURES, CLASSES)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the activations before the last layer, shape (n, 64)."""
        return self.body(images)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        return self.head(self.features(images))


def _shipped(path: Path, use: Callable[[dict[str, torch.Tensor]], Any]) -> Any:
    """Return what is made of the tensors of a file; ValueError if it is missing or corrupt."""
    try:
        return use(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        said = " ".join(str(error).split())[:120]
        raise ValueError(f"{path} is missing or corrupt ({said}): install again") from None


@cache
def classifier() -> Classifier:
    """Return the shipped classifier, in evaluation mode; ValueError if its weights are missing or corrupt."""
    network = Classifier()
    _shipped(CLASSIFIER, network.load_state_dict)
    return network.eval()


@cache
def real() -> tuple[tuple[Array, Array], Array]:
    """Return the moments of the features of MNIST's 10,000 test images, and the features of 1,000 training images, shape (1000, 64).

    Raises
    ------
    ValueError
        If the file that is shipped is missing or corrupt.
    """
    mean, covariance, training = (
        x.double().numpy() for x in _shipped(REAL, itemgetter("mean", "covariance", "training"))
    )
    return (mean, covariance), training


def predicted(images: Any) -> Array:
    """Return the digit that the classifier reads in each image (n, 1, 28, 28) in [-1, 1], shape (n,), int64; -1 if it is not finite."""
    read = _passed(images, lambda x: classifier()(x).argmax(1))
    finite: Array = torch.as_tensor(images).isfinite().flatten(1).all(1).cpu().numpy()
    return np.where(finite, read, -1)


def features(images: Any) -> Array:
    """Return the classifier's last 64 activations for images (n, 1, 28, 28) in [-1, 1], shape (n, 64), float64."""
    return _passed(images, lambda x: classifier().features(x).double())


def verdicts(images: Any, labels: Any) -> int:
    """Return how many images are read as their labels."""
    return int((predicted(images) == np.asarray(labels)).sum())


def _passed(images: Any, function: Any) -> Array:
    given: Any = torch.as_tensor(images, dtype=torch.float32, device="cpu").clamp(-1, 1)
    if given.ndim != 4 or given.shape[1:] != (1, 28, 28):
        raise ValueError(f"images have shape {tuple(given.shape)}: the classifier takes (n, 1, 28, 28)")
    with torch.inference_mode():
        found: Array = torch.cat([function(part) for part in given.split(_BATCH)]).numpy()
    return found


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
    return torch.from_numpy(features(images.float() / 127.5 - 1))


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
