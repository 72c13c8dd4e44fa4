"""The shipped classifier of MNIST digits: verdicts on samples, and the Frechet distance between sets of images in its features."""

from __future__ import annotations

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
        result: torch.Tensor = self.body(images)
        return result

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        logits: torch.Tensor = self.head(self.features(images))
        return logits


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
    """Return the digit that the classifier reads in each image (n, 1, 28, 28) in [-1, 1], shape (n,), int64."""
    return _passed(images, lambda x: classifier()(x).argmax(1))


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
