"""What experiments/train_mnist.py runs: train the two networks of MNIST in a folder and write their weights there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from bdia_numerics import schedules
from bdia_numerics.torch import mnist
from bdia_numerics.torch.networks import Classifier, mnist_unet
from bdia_numerics.torch.training import Training, batches, train, train_classifier

Watch = Callable[[str, int, int, float], None]


def prepare_classifier(
    data: Path, folder: Path, *, seed: int = 0, threads: int = 2, watch: Watch | None = None
) -> float:
    """Train the classifier unless the folder holds it, write classifier.safetensors, and return its test accuracy."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    network, path = Classifier(), folder / "classifier.safetensors"
    if path.is_file():
        network.load_state_dict(load_file(path))
        return test_accuracy(network.eval(), mnist.load(data, "test"))
    digits = mnist.load(data)
    total = 2 * (len(digits.labels) // 128)
    told = None if watch is None else partial(_named, watch, "classifier", total)
    train_classifier(network, digits, seed=seed, watch=told)
    accuracy = test_accuracy(network, mnist.load(data, "test"))
    save_file(network.state_dict(), path, metadata={"test_accuracy": f"{accuracy:.4f}", "seed": str(seed)})
    return accuracy


def test_accuracy(network: torch.nn.Module, digits: mnist.Digits) -> float:
    """Return the part of images that are given their label."""
    images, labels = torch.from_numpy(digits.scaled()), torch.from_numpy(digits.labels.astype(np.int64))
    with torch.inference_mode():
        right = [int((network(images[s]).argmax(1) == labels[s]).sum()) for s in batches(len(labels), 500)]
    return sum(right) / len(labels)


def prepare_unet(
    data: Path,
    folder: Path,
    config: Training,
    *,
    start: Path | None = None,
    until: int | None = None,
    watch: Watch | None = None,
) -> None:
    """Train the U-Net from its last checkpoint to the end, and write loss.csv and average.safetensors.

    Without a checkpoint the weights are `start`'s, the safetensors file of an earlier training, or else drawn by the seed.
    """
    torch.manual_seed(config.seed)
    network = mnist_unet()
    if start is not None:
        network.load_state_dict(load_file(start))
    table = torch.from_numpy(schedules.ddpm_linear().alphas_cumprod)
    told = None if watch is None else partial(_named, watch, "U-Net", config.steps)
    average, losses = train(network, mnist.load(data), table, folder, config, watch=told, until=until)
    lines = [f"{k + 1},{loss:.6f}" for k, loss in enumerate(losses)]
    save_file({name: value.contiguous() for name, value in average.items()}, folder / "average.safetensors")
    (folder / "loss.csv").write_text("\n".join(["step,loss", *lines]) + "\n")


def _named(watch: Watch, name: str, total: int, done: int, loss: float) -> None:
    watch(name, done, total, loss)
