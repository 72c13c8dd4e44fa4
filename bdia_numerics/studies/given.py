"""What a user gives for a published table, read and tried before hours are spent: weights, moments of real images, features, prompts."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bdia_numerics import names
from bdia_numerics.analysis.frechet import Moments
from bdia_numerics.grids import Grid
from bdia_numerics.runs.files import fingerprint
from bdia_numerics.studies import protocols
from bdia_numerics.studies.network import editing, networks, tensors
from bdia_numerics.studies.protocols import PROTOCOLS, Protocol
from bdia_numerics.texts import MOST, refuse

FILES = ("weights", "reference", "features", "prompts")
"""Fields of the configuration that can name a file."""


@dataclass(frozen=True)
class ReproductionConfig:
    """What to run.

    Attributes
    ----------
    table, variants
        Of `protocols.PROTOCOLS`.
    data
        What the weights are for, of the table's data; empty for the first.
    weights
        As `bdia_numerics.torch.load` takes it; empty for the shipped network of digits, which stands in for others.
    reference
        Moments of real images, as `read_moments` takes them; empty for those of MNIST's test images.
    features
        As `torch.networks.features.extractor` takes it; empty for the shipped classifier.
    prompts
        A file with one prompt a line, for text to image.
    digests
        Of the files that these four name, in this order, as `digests` returns them; a process that finds others refuses to compute.
    images
        Of a run; 0 for as many as the protocol says.
    seeds
        One run each: image k of seed s is drawn from a generator of its own with seed s * images + k.
    steps
        Of the table's; () for all.
    batch
        Images at a time; halved where memory does not suffice.
    piece
        Images that are kept together: at most so many are lost when a run is killed.
    device
        Of network and states, as each process names it.
    ema
        Whether the running mean of the weights is taken, where a checkpoint has both.
    trust_pickle
        Whether a pickle of EDM may be opened.
    """

    table: str = "table-2"
    variants: tuple[str, ...] = ("quad",)
    data: str = ""
    weights: str = ""
    reference: str = ""
    features: str = ""
    prompts: str = ""
    digests: tuple[str, ...] = ()
    images: int = 0
    seeds: tuple[int, ...] = (0, 1, 2)
    steps: tuple[int, ...] = ()
    batch: int = 100
    piece: int = 2500
    device: str = "cpu"
    ema: bool = True
    trust_pickle: bool = False

    def __post_init__(self) -> None:
        empty = not self.variants or not self.seeds
        refuse((empty, f"variants={self.variants} seeds={self.seeds}: give one or more of both"))
        for variant in self.variants:
            protocols.protocols(protocols.name(self.table, variant))
        data, own = self.data or next(iter(self.protocol.data)), protocols.FIGURES[self.table]
        refuse(
            (
                data not in self.protocol.data,
                f"data={data!r} is not in {self.table}: give one of {', '.join(self.protocol.data)}",
            ),
            (min(self.seeds) < 0, f"seeds={self.seeds}: give 0 or more"),
            (
                len(set(self.seeds)) < len(self.seeds) or max(self.seeds) * self.count >= 2**32 - self.count,
                f"seeds={self.seeds}: give each once, below {2**32 // self.count - 1}, as runs of the same noise are one run",
            ),
            (len(set(self.steps)) < len(self.steps), f"steps={self.steps}: give each once"),
            (
                (self.table == "table-1") != bool(self.prompts),
                f"prompts={self.prompts!r}: table-1 needs a file of prompts, and no other table takes one",
            ),
            (not 0 <= self.images <= MOST, f"images={self.images}: give 1 to {MOST}"),
            (
                bool(self.prompts) and not self.ema,
                "ema=False: a folder of Stable Diffusion has one set of weights, leave it out",
            ),
            (
                bool(self.prompts) and not self.weights,
                "weights='': table-1 needs a Stable Diffusion, give its folder or hub name",
            ),
            (self.batch < 1 or self.piece < 1, f"batch={self.batch} piece={self.piece}: give 1 or more"),
        )
        odd = sorted(set(self.steps) - set(own[data]))
        refuse((odd, f"steps={odd} are not in {self.table} for {data}: it has {', '.join(map(str, own[data]))}"))

    @property
    def protocol(self) -> Protocol:
        """The first one; those of a table differ in grid and times alone."""
        return PROTOCOLS[self.table][self.variants[0]]

    @property
    def count(self) -> int:
        """Images of a run."""
        return self.images or self.protocol.images

    @property
    def chosen(self) -> str:
        """The data."""
        return self.data or next(iter(self.protocol.data))


def digests(config: ReproductionConfig) -> tuple[str, ...]:
    """Return the SHA-256 of the files that a configuration names, of a folder all of its files; empty for any other text."""
    return tuple(map(_digest, (getattr(config, name) for name in FILES)))


@lru_cache(maxsize=16)
def _digest(text: str) -> str:
    path = Path(text)
    if text and path.is_dir():
        return fingerprint(path)
    if not text or not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pipeline(config: ReproductionConfig) -> Any:
    """Return the text-to-image pipeline of a configuration with prompts, and what they are; ValueError as `network`."""
    _same_files(config)
    return _prompted(config.weights, config.device), _prompts(config.prompts)


def network(config: ReproductionConfig) -> Any:
    """Return the network of a configuration; ValueError as `torch.networks.loading.load`, and where a file is another than it was."""
    if config.prompts:
        return pipeline(config)[0].loaded
    _same_files(config)
    return _loaded(config.weights, config.device, config.ema, config.trust_pickle)


def _same_files(config: ReproductionConfig) -> None:
    for name, wanted in zip(FILES, config.digests, strict=False):
        text = getattr(config, name)
        refuse(
            (wanted != _digest(text), f"{name}={text!r} is another file here than where the run began: copy that one")
        )


@lru_cache(maxsize=1)
def _loaded(weights: str, device: str, ema: bool, trust_pickle: bool) -> Any:
    loaded = networks.loading.load(weights or None, ema=ema, trust_pickle=trust_pickle, device=device)
    said = f"weights={weights!r}: the network's configuration says no size of its images (sample_size)"
    refuse((loaded.shape is None, said))
    return loaded


@lru_cache(maxsize=1)
def _prompted(weights: str, device: str) -> Any:
    return editing.pipelines.text_to_image(weights, device=device)


@lru_cache(maxsize=1)
def _prompts(path: str) -> list[str]:
    return editing.pipelines.read_prompts(Path(path))


def read_moments(path: Path) -> Moments:
    """Return the moments of real images from an .npz file with `mu` and `sigma`, as pytorch-fid and the scripts of EDM write it.

    Parameters
    ----------
    path
        Of the file: mu of shape (d,), sigma of shape (d, d), float32 or float64.

    Raises
    ------
    ValueError
        For a file that is missing or no .npz, arrays of other names, shapes or dtypes, NaN, and a sigma that cannot be a covariance.
    """
    said = f"reference={str(path)!r}"
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            found = {name: file[name] for name in ("mu", "sigma")}
    except KeyError:
        raise ValueError(
            f"{said} lacks mu or sigma, the mean and the covariance of features: give such an .npz file"
        ) from None
    except (OSError, ValueError, TypeError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        why = "there is no such file" if not path.is_file() else " ".join(str(error).split())[:80]
        raise ValueError(f"{said} is not read ({why}): give an .npz file with mu and sigma") from None
    mean, covariance = found["mu"], found["sigma"]
    for name, x in found.items():
        refuse(
            (x.dtype not in (np.float32, np.float64), f"{said}: {name} is of {x.dtype}: give float32 or float64"),
            (not np.all(np.isfinite(x)), f"{said}: {name} holds NaN or infinite values: make it anew"),
        )
    refuse(
        (
            mean.ndim != 1 or not mean.size or covariance.shape != 2 * mean.shape,
            f"{said}: mu has shape {mean.shape}, sigma {covariance.shape}: give shapes (d,) and (d, d)",
        )
    )
    largest = float(abs(covariance).max())
    # float32 sums of 50,000 products round by up to sqrt(50,000) times 1.2e-7, or 3e-5, of the largest entry.
    off = float(abs(covariance - covariance.T).max())
    refuse(
        (off > 1e-4 * largest, f"{said}: sigma is not symmetric, entries differ by {off:.1g}: make it anew"),
        (covariance.diagonal().min() < 0, f"{said}: sigma has negative variances: make it anew"),
    )
    return mean.astype(float), covariance.astype(float)


@lru_cache(maxsize=1)
def reference(config: ReproductionConfig) -> Moments:
    """Return the moments of real images."""
    if config.reference:
        return read_moments(Path(config.reference))
    return networks.features.real()[0]


@lru_cache(maxsize=1)
def extractor_of(config: ReproductionConfig) -> Any:
    """Return what turns images of bytes to features."""
    return networks.features.extractor(config.features, config.device)


@lru_cache(maxsize=64)
def grid_of(config: ReproductionConfig, text: str, steps: int) -> Grid:
    """Return a grid; one object for all parts, since it keeps the solvers' collapsed steps."""
    return names.grid(text)(network(config).schedule, steps)


def checked(config: ReproductionConfig) -> None:
    """Load and try all that a run needs; ValueError for what would end it after hours."""
    (mean, _), wanted = reference(config), config.count
    refuse(
        (
            wanted <= len(mean),
            f"images={wanted} are too few for a covariance of {len(mean)} features: take {len(mean) + 1} or more",
        ),
        (
            bool(config.prompts) and len(pipeline(config)[1]) < wanted,
            f"images={wanted}: prompts={config.prompts!r} has fewer lines, give one prompt an image",
        ),
    )
    z, _ = noise_of(config, range(2), 1.0)
    networks.features.features_of(bytes_of(config, z), extractor_of(config), len(mean))


def noise_of(config: ReproductionConfig, numbers: range, scale: float) -> Any:
    """Return noise of a standard deviation for numbered images, and their labels."""
    loaded, kind = network(config), tensors.dtype_named(config.protocol.dtype)
    return networks.sampling.seeded(
        numbers, loaded.shape, scale=scale, classes=loaded.labels, dtype=kind, device=config.device
    )


def bytes_of(config: ReproductionConfig, z: Any) -> Any:
    """Return data as images of bytes, as the protocol has them before features are taken."""
    if not config.prompts:
        return networks.features.as_bytes(z)
    drawn = networks.features.as_bytes(pipeline(config)[0].pixels(z), rounded=False)
    return networks.features.as_small_jpeg(drawn).to(config.device)


def described(config: ReproductionConfig) -> dict[str, Any]:
    """Return what `protocols.departures` compares."""
    loaded = network(config)
    channels, side, _ = loaded.shape
    if config.prompts:
        channels, side = 3, side * pipeline(config)[0].pipe.vae_scale_factor
    widths = getattr(loaded.network, "config", {}).get("block_out_channels", ())
    columns, weights = len(reference(config)[0]), sum(each.numel() for each in loaded.network.parameters())
    return {
        "images": config.count, "columns": columns, "channels": channels, "side": side, "labels": loaded.labels, "widths": list(widths),
        "millions": weights / 1e6, "ema": config.ema,
    }  # fmt: skip
