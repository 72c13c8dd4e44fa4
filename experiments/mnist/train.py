"""Train the class-conditional U-Net of MNIST, and the classifier, in a folder outside the repository.

    python experiments/mnist/train.py --data package/data --folder ../train_mnist

Stopped, it goes on where its last checkpoint stands; experiments/mnist/ship.py takes the weights from there. The shipped
network was trained in parts, each from the average.safetensors of the one before (docs/model-card.md); the second one by

    python experiments/mnist/train.py --data package/data --folder ../second --start ../first/average.safetensors \\
        --steps 14000 --until 2400 --batch 64 --learning-rate 1e-3 --average 0.9995 --seed 1 --threads 1 --float32
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import idx
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from training import Training, batches, mnist_unet, train, train_classifier

from bdia_numerics import schedules
from bdia_numerics.cli.options import progress
from bdia_numerics.torch.networks.features import Classifier

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
        return test_accuracy(network.eval(), idx.load(data, "test"))
    digits = idx.load(data)
    total = 2 * (len(digits.labels) // 128)
    told = None if watch is None else partial(_named, watch, "classifier", total)
    train_classifier(network, digits, seed=seed, watch=told)
    accuracy = test_accuracy(network, idx.load(data, "test"))
    save_file(network.state_dict(), path, metadata={"test_accuracy": f"{accuracy:.4f}", "seed": str(seed)})
    return accuracy


def test_accuracy(network: torch.nn.Module, digits: idx.Digits) -> float:
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
    average, losses = train(network, idx.load(data), table, folder, config, watch=told, until=until)
    lines = [f"{k + 1},{loss:.6f}" for k, loss in enumerate(losses)]
    save_file({name: value.contiguous() for name, value in average.items()}, folder / "average.safetensors")
    (folder / "loss.csv").write_text("\n".join(["step,loss", *lines]) + "\n", encoding="utf-8")


def _named(watch: Watch, name: str, total: int, done: int, loss: float) -> None:
    watch(name, done, total, loss)


NUMBERS = {
    "steps": (9000, "batches"),
    "batch": (32, "images of a batch"),
    "learning-rate": (1.5e-3, "of AdamW"),
    "average": (0.999, "decay of the averaged weights"),
    "seed": (0, "of all chance"),
    "threads": (2, "of torch, and parts of a batch"),
    "heaviest": (1.0, "largest weight of the error at high noise; 1 is the objective (4)"),
}
"""Options that are numbers, with their defaults."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the four IDX files")
    parser.add_argument("--folder", type=Path, required=True, help="where checkpoints and results are written")
    parser.add_argument(
        "--start", type=Path, help="weights to begin with (safetensors); without it the seed draws them"
    )
    for name, (default, about) in NUMBERS.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help=about)
    parser.add_argument("--until", type=int, help="stop after that many steps")
    parser.add_argument("--float32", action="store_true", help="compute convolutions in float32, not in bfloat16")
    arguments = parser.parse_args()
    with progress() as bar:
        tasks = {}

        def watch(name: str, done: int, total: int, loss: float) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            bar.update(tasks[name], completed=done, description=f"{name} {loss:.4f}")
            if done % 100 == 0:
                with (arguments.folder / "log.txt").open("a") as log:
                    log.write(f"{name} {done}/{total} loss {loss:.4f}\n")

        arguments.folder.mkdir(parents=True, exist_ok=True)
        prepare_classifier(
            arguments.data, arguments.folder, seed=arguments.seed, threads=arguments.threads, watch=watch
        )
        config = Training(
            steps=arguments.steps,
            batch=arguments.batch,
            parts=arguments.threads,
            learning_rate=arguments.learning_rate,
            average=arguments.average,
            seed=arguments.seed,
            bfloat16=not arguments.float32,
            heaviest=arguments.heaviest,
        )
        prepare_unet(
            arguments.data, arguments.folder, config, start=arguments.start, until=arguments.until, watch=watch
        )


if __name__ == "__main__":
    main()
