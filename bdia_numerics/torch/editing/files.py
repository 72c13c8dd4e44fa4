"""The file of an inversion: tensors in safetensors, and in their header the rest as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from bdia_numerics import names
from bdia_numerics.runs.files import check, write
from bdia_numerics.runs.inversion import INVERSIONS
from bdia_numerics.runs.state import State
from bdia_numerics.solvers import SOLVERS
from bdia_numerics.texts import shown
from bdia_numerics.torch.editing.methods import BySolver, Encoded, Setting, shortened, way_of
from bdia_numerics.torch.editing.pipelines import Labelled, adapted
from bdia_numerics.torch.editing.prompted import Prompted

FORMAT = 1
"""Of saved inversions."""
_KEY = "bdia_numerics.inversion"
_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def write_file(path: str | Path, inv: Any) -> None:
    """Write an inversion; see `Inversion.save`."""
    check("path", path, (".safetensors",))
    record, setting, state = dict(inv.record), inv.setting, inv.kept.state
    tensors = {"source": inv.source, "data": inv.data, "latents": inv.kept.z}
    tensors |= {f"part:{name}": value for name, value in inv.kept.parts.items()}
    tensors |= {f"control:{k}": value for k, value in enumerate(record.pop("control"))}
    meta: dict[str, Any] = {
        "format": FORMAT, "pipeline": _class_of(setting.pipe), "weights": weights(setting.pipe), "guidance": inv.guidance,
        "nfe": inv.nfe, "seconds": inv.seconds, "inversion": inv.kept.inversion, "levels": setting.grid.root,
        "prediction": setting.pipe.prediction,
        "condition": _written("prompt", inv.condition, tensors), "given": _written("pipeline_arguments", record.pop("given"), tensors),
        "solver": record["solver"] if isinstance(record["solver"], str) else _solver_out(record["solver"]),
        "method": _method_out(record["method"]), **{key: record[key] for key in ("steps", "strength", "grid")},
    }  # fmt: skip
    if state is not None:
        tensors |= {f"register:{name}": value for name, value in state.registers.items()}
        meta["state"] = {"solver": state.solver, "times": dict(state.times)}
    flat = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    meta["checksum"] = _checksum(meta, flat)
    write(path, save(flat, {_KEY: json.dumps(meta)}))


def read_file(path: str | Path, pipe: Any, watch: Callable[[], None]) -> dict[str, Any]:
    """Return the fields of an `Inversion` from its file; see `Inversion.load`."""
    said = f"path={shown(str(path))}"
    try:
        with safe_open(path, "pt") as file:
            meta = json.loads((file.metadata() or {}).get(_KEY, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
    except FileNotFoundError:
        raise ValueError(f"{said}: there is no such file") from None
    except (SafetensorError, OSError, ValueError):
        meta = None
    if not isinstance(meta, dict):
        raise ValueError(f"{said} holds no inversion: pass a file that Inversion.save wrote")  # noqa: TRY004  the file is at fault
    if meta.get("format") != FORMAT:
        raise ValueError(
            f"{said} is an inversion of format {meta.get('format')}, and this version reads {FORMAT}: update bdia_numerics"
        )
    try:
        if meta.pop("checksum") != _checksum(meta, tensors):
            raise ValueError(
                f"{said} is damaged, its parts are not those that were saved: copy it again, or invert again"
            )
        return _fields(meta, tensors, pipe, watch, said)
    except KeyError as error:
        raise ValueError(f"{said} holds a part of an inversion, without {error}: save it again") from None


def _fields(
    meta: dict[str, Any], tensors: dict[str, torch.Tensor], pipe: Any, watch: Callable[[], None], said: str
) -> dict[str, Any]:
    given = _read(meta["given"], tensors)
    controls = [tensors[name] for name in sorted(tensors) if name.startswith("control:")]
    taken = adapted(pipe, given, controls or None)
    for what, other, own in (("pipeline", "another", _class_of(taken)), ("weights", "other", weights(taken))):
        if meta[what] != own:
            raise ValueError(
                f"{said} was made with {other} {what} ({meta[what]}, and this is {own}): pass the pipeline that made it"
            )
    solver = meta["solver"] if isinstance(meta["solver"], str) else _solver_in(meta["solver"])
    method = None if meta["method"] is None else INVERSIONS[meta["method"]]
    condition = _read(meta["condition"], tensors)
    way, data = way_of(solver, method), tensors["data"].to(taken.device)
    whole, frame = taken.grid(meta["steps"], meta["grid"], data.shape[1:], condition)
    grid = shortened(whole, meta["strength"])
    state = None
    if (meta["levels"], meta["prediction"]) != (grid.root, taken.prediction):
        raise ValueError(
            f"{said} was made on other noise levels or with another prediction_type: pass the pipeline with the scheduler that it had"
        )
    if (held := meta.get("state")) is not None:
        registers = {k.partition(":")[2]: v.to(taken.device) for k, v in tensors.items() if k.startswith("register:")}
        state = State(held["solver"], grid.root, registers, held["times"], prediction=taken.prediction)
    parts = {k.partition(":")[2]: v.to(taken.device) for k, v in tensors.items() if k.startswith("part:")}
    record = {
        "solver": solver, "method": method, "given": given, "control": tuple(controls),
        **{key: meta[key] for key in ("steps", "strength", "grid")},
    }  # fmt: skip
    kept = Encoded(tensors["latents"].to(taken.device), state, parts, meta["inversion"])
    if not (isinstance(way, BySolver) or parts):
        raise KeyError("what its method kept")
    return {
        "setting": Setting(taken, grid, frame, watch), "way": way, "kept": kept, "source": tensors["source"], "data": data,
        "condition": condition, "guidance": meta["guidance"], "record": record, "nfe": meta["nfe"],
        "seconds": meta["seconds"],
    }  # fmt: skip


def _checksum(meta: dict[str, Any], tensors: dict[str, torch.Tensor]) -> str:
    """Return the SHA-256 of what a file holds, which safetensors does not keep: a bit that flips would be a bit of the image."""
    digest = hashlib.sha256(json.dumps(meta).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def weights(taken: Prompted | Labelled) -> str:
    """Return a fingerprint of all networks of a pipeline: names, shapes, dtypes, first 16 values and the sum of the bits of each weight."""
    digest = hashlib.sha256()
    parts = taken.pipe.components if isinstance(taken, Prompted) else {"network": taken.network, "vae": taken.vae}
    for part in (
        parts[name] for name in sorted(parts) if isinstance(parts[name], torch.nn.Module) and name != "safety_checker"
    ):
        for name, value in part.state_dict().items():
            # Bits add up to the same on every device, and in every order.
            real = torch.view_as_real(value) if value.is_complex() else value
            bits = int(real.contiguous().view(_BITS[real.dtype.itemsize]).sum(dtype=torch.int64))
            digest.update(f"{name} {tuple(value.shape)} {value.dtype} {bits}".encode())
            digest.update(real.flatten()[:16].double().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _class_of(taken: Prompted | Labelled) -> str:
    return type(taken.pipe if isinstance(taken, Prompted) else taken.network).__name__


def _written(where: str, value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Return a value as JSON takes it; a tensor in it stands among the tensors, under the place where it was."""
    if isinstance(value, torch.Tensor):
        tensors[f"in:{where}"] = value
        return {"tensor": f"in:{where}"}
    if hasattr(value, "tolist"):  # NumPy's
        return value.tolist()
    if isinstance(value, Mapping):
        return {"mapping": {str(key): _written(f"{where}.{key}", part, tensors) for key, part in value.items()}}
    if isinstance(value, list | tuple):
        return [_written(f"{where}.{k}", part, tensors) for k, part in enumerate(value)]
    if value is None or isinstance(value, str | int | float):
        return value
    raise ValueError(
        f"{where} holds a {type(value).__name__}, which has no text: pass tensors, numbers and texts, or keep it out of the file"
    )


def _read(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_read(part, tensors) for part in value]
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        return {key: _read(part, tensors) for key, part in value["mapping"].items()}
    return value


def _solver_out(solver: Any) -> dict[str, Any]:
    """Return a solver's class and parameters; fractions as texts, solvers among the parameters likewise unless they are the default."""
    values: dict[str, Any] = {}
    name = type(solver).__name__
    if SOLVERS.get(name) is not type(solver) or not is_dataclass(solver):
        raise ValueError(
            f"solver={shown(solver)} has no text in a file: save an inversion of a solver of the package, whose parameters are numbers, "
            "texts, or such solvers"
        )
    for one in (x for x in fields(solver) if x.init):
        value = getattr(solver, one.name)
        if isinstance(value, str | int | float):
            values[one.name] = value
        elif isinstance(value, Fraction):
            values[one.name] = {"fraction": str(value)}
        elif one.name in names.options_of(solver):
            values[one.name] = _solver_out(value)
    return {name: values}


def _solver_in(held: Mapping[str, Any]) -> Any:
    ((name, values),) = held.items()
    return SOLVERS[name](
        **{
            key: x if not isinstance(x, dict) else Fraction(x["fraction"]) if "fraction" in x else _solver_in(x)
            for key, x in values.items()
        }
    )


def _method_out(method: Any) -> str | None:
    name = next((name for name, known in INVERSIONS.items() if known == method), None)
    if method is not None and name is None:
        raise ValueError(
            f"method={shown(method)} has no text in a file: save an inversion without one, or by a name of BASELINES"
        )
    return name
