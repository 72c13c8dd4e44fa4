"""The small classifier of MNIST digits that reads samples of the shipped network."""

from __future__ import annotations

import torch
from torch import nn

CLASSES, FEATURES = 10, 64


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
