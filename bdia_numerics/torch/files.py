"""Where the shipped weights are."""

from __future__ import annotations

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"
UNET = WEIGHTS / "mnist"
CLASSIFIER = WEIGHTS / "mnist_classifier.safetensors"
REAL = WEIGHTS / "mnist_features.safetensors"
"""Moments of the features of the test images, and the features of 1,000 training images."""

CARD = "model_card.json"
"""Beside a network's config.json: {"data": "mnist", "null_label": 10}, the label that stands for none."""
