"""Networks in pickles, which are programs: they are opened only when the caller says so."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch


def edm_network(path: Path, *, trust: bool) -> torch.nn.Module:
    """Return the network of one of EDM's pickles: a dict whose "ema" is D(x, sigma, class_labels).

    Raises
    ------
    ValueError
        Unless `trust` says that its code may be run; for a file that is missing or no such pickle.
    """
    if not trust:
        raise ValueError(
            f"source={str(path)!r} is a pickle, and opening it runs the code in it: "
            "pass trust_pickle=True (--trust-pickle) if you trust its author"
        )
    if not path.is_file():
        raise ValueError(f"source={str(path)!r}: there is no such file")
    warnings.warn(f"{path.name} is a pickle: its code is run", stacklevel=4)
    try:
        with path.open("rb") as file:
            content = pickle.load(file)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"source={str(path)!r} needs the module {error.name}: put the checkout of EDM on PYTHONPATH"
        ) from None
    except Exception as error:  # noqa: BLE001  the code in it may raise anything
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ValueError(f"source={str(path)!r} is not a readable pickle ({said}): download it again") from None
    network = content.get("ema") if isinstance(content, Mapping) else content
    if not isinstance(network, torch.nn.Module):
        kind = type(network).__name__
        raise ValueError(f"source={str(path)!r} holds a {kind}, not the 'ema' network of EDM's pickles")  # noqa: TRY004  the file is at fault
    return network.eval()
