"""Train the class-conditional U-Net of MNIST, and the classifier, in a folder outside the repository.

    python experiments/train_mnist.py --data package/data --folder ../train_mnist

Stopped, it goes on where its last checkpoint stands; experiments/ship_mnist.py takes the weights from there. The shipped
network was trained in parts, each from the average.safetensors of the one before (docs/model-card.md); the second one by

    python experiments/train_mnist.py --data package/data --folder ../second --start ../first/average.safetensors \\
        --steps 14000 --until 2400 --batch 64 --learning-rate 1e-3 --average 0.9995 --seed 1 --threads 1 --float32
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bdia_numerics.cli.show import progress
from bdia_numerics.torch.jobs import prepare_classifier, prepare_unet
from bdia_numerics.torch.training import Training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the four IDX files")
    parser.add_argument("--folder", type=Path, required=True, help="where checkpoints and results are written")
    parser.add_argument(
        "--start", type=Path, help="weights to begin with (safetensors); without it the seed draws them"
    )
    parser.add_argument("--steps", type=int, default=9000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    parser.add_argument("--average", type=float, default=0.999)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--heaviest", type=float, default=1.0, help="largest weight of the error at high noise; 1 is the objective (4)"
    )
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
