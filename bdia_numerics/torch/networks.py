"""The networks that are trained here: a class-conditional U-Net of MNIST, and a small classifier."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

CLASSES = 10
NULL = CLASSES
"""The label that stands for no label, for classifier-free guidance."""

FEATURES = 64


def mnist_unet() -> Any:
    """Return an untrained diffusers UNet2DModel for 28x28 images, with ten labels and the null label."""
    from diffusers import UNet2DModel

    blocks = (16, 32, 64)
    make: Any = UNet2DModel
    return make(
        sample_size=28,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=blocks,
        down_block_types=("DownBlock2D",) * len(blocks),
        up_block_types=("UpBlock2D",) * len(blocks),
        attention_head_dim=16,
        norm_num_groups=8,
        num_class_embeds=CLASSES + 1,
    )


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
