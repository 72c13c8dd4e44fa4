"""Files of networks: the shipped ones, folders and hub repositories of diffusers with their weights checked, pickles of EDM."""

from __future__ import annotations

import json
import logging
import pickle
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from bdia_numerics.spaces.precision import Shared
from bdia_numerics.texts import refuse, shown

WEIGHTS = Path(__file__).parent / "weights"
UNET = WEIGHTS / "mnist"
CLASSIFIER = WEIGHTS / "mnist_classifier.safetensors"
REAL = WEIGHTS / "mnist_features.safetensors"
"""Moments of the features of the test images, and the features of 1,000 training images."""

CARD = "model_card.json"
"""Beside a network's config.json: {"data": "mnist", "null_label": 10}, the label that stands for none."""

PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model-*-of-*.safetensors")


def local(source: str | Path, parts: tuple[str, ...]) -> Path:
    """Return the folder of a network, downloaded where it is a repository of the hub.

    Parameters
    ----------
    source
        A folder here, or the name of a repository.
    parts
        Folders of a pipeline whose weights may be wanted; nothing else of it that is large is downloaded.

    Raises
    ------
    ValueError
        If there is no such folder and no such repository, or the hub cannot be reached.
    """
    path = Path(source)
    if path.is_dir():
        return path
    said = f"source={str(source)!r}"
    refuse(
        (path.is_file() or path.suffix == ".json", f"{said} is a file: pass the folder that holds it with config.json"),
    )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.json", *(f"{part}{name}" for part in ("", *(f"{p}/" for p in parts)) for name in _WEIGHTS)]
    try:
        with quiet():
            return Path(snapshot_download(str(source), allow_patterns=wanted))
    except LocalEntryNotFoundError:
        raise ValueError(f"{said} is not a folder here, and the hub cannot be reached: pass a local folder") from None
    except (HfHubHTTPError, HFValidationError, OSError):
        raise ValueError(f"{said} is neither a folder here nor a repository of the hub: check its name") from None


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the content of a JSON file, None where there is none; ValueError unless it holds an object."""
    if not path.is_file():
        return None
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ValueError(f"{path} is not JSON: download the network again") from None
    if not isinstance(read, dict):
        raise ValueError(f"{path} holds no object of JSON, which begins with a brace: download the network again")  # noqa: TRY004  the file is at fault
    return read


def network_of(folder: Path, part: str | None, name: str | None, dtype: torch.dtype) -> Any:
    """Return a diffusers model of a folder, in evaluation mode, with every one of its weights read and finite.

    Parameters
    ----------
    folder
        Of the model or of the pipeline.
    part
        Its folder in that of a pipeline.
    name
        Its class.
    dtype
        Of its weights.

    Raises
    ------
    ValueError
        For an unknown class, and for weights that are missing, corrupt, of another network, or not finite.
    """
    import diffusers

    place = folder / part if part else folder
    make: Any = getattr(diffusers, str(name), None)
    if name is None:
        raise ValueError(
            f"source={str(folder)!r} holds no diffusers model: it needs config.json with _class_name, or model_index.json"
        )
    # A pipeline or a scheduler has from_pretrained, too, and a pipeline may import code that its folder names.
    if not (isinstance(make, type) and issubclass(make, diffusers.ModelMixin)):
        raise ValueError(  # noqa: TRY004  the folder is at fault
            f"_class_name={shown(name)} in {place} is not a model of diffusers {diffusers.__version__}: upgrade it, or give another folder"
        )
    _check_files(place)
    try:
        with quiet():
            network, found = make.from_pretrained(  # type: ignore[no-untyped-call]
                str(place), use_safetensors=True, low_cpu_mem_usage=False, torch_dtype=dtype, output_loading_info=True
            )
    except Exception as error:  # noqa: BLE001  diffusers and torch each raise their own for a configuration or weights that do not fit
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"{place}: config.json and the weights make no {name} ({said}): download both again") from None
    if lacking := sorted(found["missing_keys"]):
        raise ValueError(
            f"{place}: the weights lack {lacking[0]} ({len(lacking)} such), they are of another network than config.json: "
            "download both again"
        )
    if unused := sorted(found["unexpected_keys"]):
        warnings.warn(
            f"{place}: {unused[0]} ({len(unused)} such) is in the weights and not in the network, and is not used",
            stacklevel=5,
        )
    for key, value in network.state_dict().items():
        if not bool(value.isfinite().all()):
            narrow = ", or pass dtype=torch.float32" if dtype == torch.float16 else ""
            raise ValueError(f"{place}: {key} holds NaN or infinite values: download the network again{narrow}")
    return network.eval()


def _check_files(place: Path) -> None:
    weights = sorted(place.glob("*.safetensors"))
    if not weights:
        pickled = sorted(p.name for p in place.glob("*") if p.suffix in PICKLES)
        remedy = (
            f"{pickled[0]} is a pickle, which is never opened: have its author save it with safe_serialization=True"
            if pickled
            else "download the network again"
        )
        raise ValueError(f"{place} has no weights in safetensors: {remedy}")
    for path in weights:
        try:
            with safe_open(path, framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} is truncated or corrupt ({error}): download the network again") from None


def edm_network(path: Path, *, trust: bool) -> torch.nn.Module:
    """Return the network of one of EDM's pickles: a dict whose "ema" is D(x, sigma, class_labels).

    A pickle is a program: it is opened only when the caller says so.

    Raises
    ------
    ValueError
        Unless `trust` says that its code may be run; for a file that is missing or no such pickle.
    """
    source = f"source={str(path)!r}"
    refuse(
        (
            not trust,
            f"{source} is a pickle, and opening it runs the code in it: pass trust_pickle=True if you trust its author",
        ),
        (not path.is_file(), f"{source}: there is no such file"),
    )
    warnings.warn(f"{path.name} is a pickle: its code is run", stacklevel=4)
    try:
        with path.open("rb") as file:
            content = pickle.load(file)
    except ModuleNotFoundError as error:
        raise ValueError(f"{source} needs the module {error.name}: put the checkout of EDM on PYTHONPATH") from None
    except Exception as error:  # noqa: BLE001  the code in it may raise anything
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ValueError(f"{source} is not a readable pickle ({said}): download it again") from None
    network = content.get("ema") if isinstance(content, Mapping) else content
    if not isinstance(network, torch.nn.Module):
        kind = type(network).__name__
        raise ValueError(f"{source} holds a {kind}, not the 'ema' network of EDM's pickles")  # noqa: TRY004  the file is at fault
    return network.eval()


def _level(name: str) -> Shared:
    logger = logging.getLogger(name)
    return Shared(lambda: logger.level, logger.setLevel)


_LEVELS = [_level(name) for name in ("diffusers", "huggingface_hub", "transformers")]


@contextmanager
def quiet() -> Iterator[None]:
    """Let diffusers, transformers and the hub's client log nothing: what is wrong is raised, in one line."""
    with ExitStack() as stack:
        for level in _LEVELS:
            stack.enter_context(level.at_least(logging.CRITICAL + 1))
        yield
