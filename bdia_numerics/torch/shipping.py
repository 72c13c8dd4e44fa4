"""From a training folder to what is shipped: weights, and the model card with its figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from bdia_numerics.analysis.frechet import frechet_distance, moments
from bdia_numerics.runs.encoding import solve
from bdia_numerics.solvers import DPMSolverPP
from bdia_numerics.torch import features, mnist
from bdia_numerics.torch.files import CARD, CLASSIFIER, REAL, UNET
from bdia_numerics.torch.folders import read_json
from bdia_numerics.torch.loading import Loaded, load
from bdia_numerics.torch.networks import NULL, Classifier, mnist_unet
from bdia_numerics.torch.sampling import noise
from bdia_numerics.torch.training import CHECKPOINT, Training

SCHEDULER = {
    "_class_name": "DDIMScheduler", "num_train_timesteps": 1000, "beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear",
    "prediction_type": "epsilon", "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1, "timestep_spacing": "leading",
}  # fmt: skip


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
    (target / CARD).write_text(json.dumps({"data": "mnist", "null_label": NULL, "training": parts}, indent=2) + "\n")
    (target / "scheduler").mkdir(exist_ok=True)
    (target / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER, indent=2) + "\n")
    classifier.write_bytes((folders[-1] / "classifier.safetensors").read_bytes())
    return parts


BLACK = 0.99
"""A pixel is background if it is black in that part of the training images."""


def ship_features(data: Path, target: Path = REAL, *, seed: int = 0) -> None:
    """Write what samples are compared with: moments of the test images' features, and the features of 1,000 training images."""
    train = mnist.load(data)
    chosen = np.random.default_rng(seed).permutation(len(train.labels))[:1000]
    mean, covariance = moments(features.features(mnist.load(data, "test").scaled()))
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
    network, test, train = load(), mnist.load(data, "test"), mnist.load(data)
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
    from jinja2 import Environment, PackageLoader, StrictUndefined

    curve = torch.load(folder / CHECKPOINT, weights_only=True)["losses"]
    page = Environment(loader=PackageLoader("bdia_numerics"), undefined=StrictUndefined, keep_trailing_newline=True)
    return page.get_template("model-card.md.j2").render(
        parameters=f"{sum(p.numel() for p in mnist_unet().parameters()):,}",
        classifier_parameters=f"{sum(p.numel() for p in Classifier().parameters()):,}",
        null=NULL,
        parts=(read_json(target / CARD) or {})["training"],
        size=f"{sum(path.stat().st_size for path in target.glob('*.safetensors')) / 1e6:.1f}",
        loss=float(curve[-500:].mean()),
        measured=found,
    )
