"""Training by the objective of eq. (4), resumable at any step with the same data order.

All chance of a step (which images, times, noises, dropped labels) is drawn from a generator that the seed and the number of the
step determine, so that a checkpoint is the weights, their average and the optimiser, and a resumed run is the run that was stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from idx import Digits
from torch.nn import functional

NULL = 10
"""The label that stands for no label, for classifier-free guidance."""

CHECKPOINT = "checkpoint.pt"
Watch = Callable[[int, float], None]


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Attributes
    ----------
    steps : int
        Planned steps; the learning rate falls to zero along half a cosine over them.
    batch : int
        Images a step; their gradients are computed in `parts` parts, each on one thread.
    learning_rate : float
        The largest one, reached after `warm_up` steps.
    warm_up : int
        Steps on which the learning rate rises from zero.
    average : float
        Decay of the exponential moving average of the weights, which is what is sampled.
    drop : float
        Probability with which a label is replaced by the null label.
    seed : int
        Seed of the initial weights and of every step.
    every : int
        Steps between two checkpoints.
    bfloat16 : bool
        Whether convolutions are computed in bfloat16; weights, averages and the optimiser stay float32.
    heaviest : float
        The squared error at t is weighted by 1/alpha_t^2, which makes it that of v, up to this number; 1 is the objective (4). Errors of
        eps at high noise, where a digit takes its shape, are small compared with those near the data and count for little in (4).
    """

    steps: int = 9000
    batch: int = 32
    parts: int = 2
    learning_rate: float = 1.5e-3
    warm_up: int = 200
    average: float = 0.999
    drop: float = 0.1
    seed: int = 0
    every: int = 200
    bfloat16: bool = True
    heaviest: float = 1.0

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        risen = min(1.0, (step + 1) / self.warm_up)
        return self.learning_rate * risen * (1 + math.cos(math.pi * step / self.steps)) / 2

    def decay(self, step: int) -> float:
        """Return the decay of the average at a step: less at first, so that the average forgets the initial weights."""
        return min(self.average, (1 + step) / (10 + step))


def mnist_unet() -> Any:
    """Return an untrained diffusers UNet2DModel for 28x28 images, with ten labels and the null label."""
    blocks = (16, 32, 64)
    return diffusers.UNet2DModel(
        sample_size=28,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=blocks,
        down_block_types=("DownBlock2D",) * len(blocks),
        up_block_types=("UpBlock2D",) * len(blocks),
        attention_head_dim=16,
        norm_num_groups=8,
        num_class_embeds=NULL + 1,
    )


def indices(count: int, batch: int, step: int, seed: int) -> torch.Tensor:
    """Return the images of a step, shape (batch,): every epoch is a permutation of its own."""
    per_epoch = count // batch
    epoch, place = divmod(step, per_epoch)
    order = torch.randperm(count, generator=generator(seed, epoch, 1))
    return order[place * batch : (place + 1) * batch]


def generator(seed: int, step: int, stream: int) -> torch.Generator:
    """Return the source of chance of one step; `stream` keeps apart what the same step draws for different ends."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 16 + stream)


def train(
    network: Any,
    digits: Digits,
    alphas_cumprod: torch.Tensor,
    folder: str | Path,
    config: Training,
    *,
    watch: Watch | None = None,
    until: int | None = None,
) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Train a noise predictor, from where the checkpoint in a folder stands.

    Minimises the mean of |eps - network(alpha x + sigma eps, t, label)|^2 over images, t and eps ~ N(0, I), which is eq. (4) with the
    variance of the noise set right. Times are stratified over the batch, which lowers the variance and leaves the mean.

    Parameters
    ----------
    network
        Called as ``network(z, t, class_labels=y).sample``; changed in place.
    digits
        The images and labels.
    alphas_cumprod
        alpha^2 by t, shape (T,).
    folder
        Where checkpoints are kept.
    config
        How to train.
    watch
        Called with the steps done and the loss, after each.
    until
        Stop after that many steps in all, as an interruption would.

    Returns
    -------
    tuple
        The averaged weights by name, and the losses by step.

    Raises
    ------
    ValueError
        If the checkpoint was made with another configuration.
    """
    weights = list(network.parameters())
    optimiser = torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=0.0, fused=True)
    path = Path(folder) / CHECKPOINT
    average, losses = _restored(path, network, optimiser, config)
    images, labels = torch.from_numpy(digits.scaled()), torch.from_numpy(digits.labels.astype(np.int64))
    network.train()
    current = [network.state_dict()[name] for name in average]
    # Kernels that share a convolution's gradient out to threads wait for one another in busy loops; whole parts of the batch do not.
    with ThreadPoolExecutor(config.parts, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for step in range(len(losses), min(config.steps, until or config.steps)):
            for group in optimiser.param_groups:
                group["lr"] = config.rate(step)
            drawn = _drawn(images, labels, alphas_cumprod, config, step)
            found = list(pool.map(partial(_gradient, network, weights, config), zip(*drawn, strict=True)))
            for k, weight in enumerate(weights):
                weight.grad = sum(gradient[k] for _, gradient in found) / config.parts
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimiser.step()
            torch._foreach_lerp_(list(average.values()), current, 1 - config.decay(step))
            losses.append(sum(loss for loss, _ in found) / config.parts)
            if watch is not None:
                watch(step + 1, losses[-1])
            if len(losses) % config.every == 0 or len(losses) == config.steps:
                _save(path, network, average, optimiser, losses, config)
    return average, losses


def _drawn(
    images: torch.Tensor, labels: torch.Tensor, alphas_cumprod: torch.Tensor, config: Training, step: int
) -> list[tuple[torch.Tensor, ...]]:
    """Return what a step is computed from, each in `parts` parts: noisy images, times, labels, noise, weights."""
    chance = generator(config.seed, step, 0)
    chosen = indices(len(images), config.batch, step, config.seed)
    x, y = images[chosen], labels[chosen]
    y = torch.where(torch.rand(len(y), generator=chance) < config.drop, NULL, y)
    strata = (
        torch.randperm(config.batch, generator=chance) + torch.rand(config.batch, generator=chance)
    ) / config.batch
    t = (strata * len(alphas_cumprod)).long().clamp_(max=len(alphas_cumprod) - 1)
    level = alphas_cumprod.to(x.dtype)[t].reshape(-1, 1, 1, 1)
    eps = torch.randn(x.shape, generator=chance)
    weights = (1 / alphas_cumprod).clamp(max=config.heaviest)
    weight = (weights / weights.mean()).to(x.dtype)[t].reshape(-1, 1, 1, 1)
    return [v.chunk(config.parts) for v in (level.sqrt() * x + (1 - level).sqrt() * eps, t, y, eps, weight)]


def _gradient(
    network: Any, weights: list[torch.Tensor], config: Training, part: tuple[torch.Tensor, ...]
) -> tuple[float, tuple[torch.Tensor, ...]]:
    z, t, y, eps, weight = part
    with torch.autocast("cpu", torch.bfloat16, enabled=config.bfloat16):
        output = network(z, t, class_labels=y).sample
    loss = (weight * (output.float() - eps).square()).mean()
    return float(loss.detach()), torch.autograd.grad(loss, weights)


def _restored(
    path: Path, network: Any, optimiser: torch.optim.Optimizer, config: Training
) -> tuple[dict[str, torch.Tensor], list[float]]:
    if not path.is_file():
        return {name: value.clone() for name, value in network.state_dict().items()}, []
    kept = torch.load(path, weights_only=True)
    if kept["config"] != asdict(config):
        raise ValueError(f"{path} was made with {kept['config']}: pass the same configuration, or another folder")
    network.load_state_dict(kept["network"])
    optimiser.load_state_dict(kept["optimiser"])
    return kept["average"], kept["losses"].tolist()


def _save(
    path: Path, network: Any, average: Any, optimiser: torch.optim.Optimizer, losses: list[float], config: Training
) -> None:
    content = {
        "network": network.state_dict(),
        "average": average,
        "optimiser": optimiser.state_dict(),
        "losses": torch.tensor(losses, dtype=torch.float64),
        "config": asdict(config),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    # A run that is stopped while it writes leaves the checkpoint before.
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)


def train_classifier(
    network: torch.nn.Module,
    digits: Digits,
    *,
    epochs: int = 2,
    batch: int = 128,
    seed: int = 0,
    watch: Watch | None = None,
) -> None:
    """Train a classifier in place by cross-entropy, with images moved by up to two pixels."""
    images, labels = torch.from_numpy(digits.scaled()), torch.from_numpy(digits.labels.astype(np.int64))
    steps = epochs * (len(images) // batch)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    network.train()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * (1 + math.cos(math.pi * step / steps)) / 2
        chosen = indices(len(images), batch, step, seed)
        right, down = (int(k) for k in torch.randint(-2, 3, (2,), generator=generator(seed, step, 2)))
        moved = torch.roll(images[chosen], (right, down), (3, 2))
        loss = functional.cross_entropy(network(moved), labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if watch is not None:
            watch(step + 1, float(loss.detach()))
    network.eval()


def batches(count: int, size: int) -> Iterator[slice]:
    """Yield the slices of a long pass."""
    return (slice(k, min(k + size, count)) for k in range(0, count, size))
