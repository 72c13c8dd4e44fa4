"""Whether outputs of a network depend on batch and kernels, whether every bit comes back, and what rounding costs a round trip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from bdia_numerics import grids
from bdia_numerics.analysis import round_trip_error
from bdia_numerics.formulas import table
from bdia_numerics.grids import Grid
from bdia_numerics.models import prediction_of
from bdia_numerics.program import Solver
from bdia_numerics.runs.encoding import bit_exact_round_trip, encode, invert, solve
from bdia_numerics.solvers import BDIA, EDICT
from bdia_numerics.spaces import Lattice
from bdia_numerics.spaces.values import ordered
from bdia_numerics.torch.networks.jacobians import array_model
from bdia_numerics.torch.networks.loading import Loaded, load
from bdia_numerics.torch.networks.models import NetworkModel
from bdia_numerics.torch.networks.sampling import noise, rms
from bdia_numerics.torch.tensors import DTYPES, require_tensor


@dataclass(frozen=True)
class Difference:
    """What changed in an output.

    Attributes
    ----------
    differing : int
        Elements that are not the same bit by bit.
    largest : float
        Largest absolute difference of an element, over the root mean square of the output.
    """

    differing: int
    largest: float


@dataclass(frozen=True)
class Repeatability:
    """Whether one state has one output: what was tried, what it changed, and what could not be tried.

    Attributes
    ----------
    probes : dict of str to Difference
        By what was changed: "the same call" (nothing), "a batch of 1", "1 thread", "attention by MATH", ...
    not_tried : dict of str to str
        What this machine, this model or this call did not allow, with the reason.
    """

    probes: dict[str, Difference]
    not_tried: dict[str, str]

    @property
    def exact(self) -> bool:
        """Whether no bit depends on anything that was tried."""
        return not any(found.differing for found in self.probes.values())

    @property
    def largest(self) -> float:
        """The largest difference in all probes, over the root mean square of the output."""
        return max(found.largest for found in self.probes.values())

    def __str__(self) -> str:
        same = ", ".join(name for name, found in self.probes.items() if not found.differing)
        other = ", ".join(
            f"{name} ({found.differing} elements, by {found.largest:.1e} at most)"
            for name, found in self.probes.items()
            if found.differing
        )
        said = {"differs": other, "the same": same, "not tried": ", ".join(self.not_tried)}
        return "; ".join(f"{word}: {names}" for word, names in said.items() if names)


@ordered
def repeatability(
    model: Any, z: torch.Tensor, t: Any = 0.5, *, others: Mapping[str, Any] | None = None, device: Any = None
) -> Repeatability:
    """Compare the output at the same states bit by bit: in two calls, in smaller batches, by other kernels, after offloading.

    A run returns every element only if the model gives the same output on the way back. Dropout that was left on makes two calls differ;
    BLAS divides a product by the size of its batch, and a sum by threads.

    Parameters
    ----------
    model
        A `NetworkModel`, whose conditions of as many entries as z are divided with the batch; a module, which is asked for
        ``module(z, t)``; or a function of (z, t) that takes any batch.
    z, t
        States, shape (batch, *data), and time. Batches are compared from two states on.
    others
        More models of the same states by name, such as the same network on another device; their outputs may be on that one.
    device
        Another device, to which the network is moved and from which it comes back. Without one none is tried, since a large network may
        take minutes on a CPU.

    Returns
    -------
    Repeatability
        Probes: the same call; a batch of 1, 2, 4, ...; channels_last; other numbers of threads, without oneDNN (states on a CPU); with and
        without TF32, deterministic cuDNN, offloaded (on CUDA); each kernel of scaled_dot_product_attention; the device; `others`.

    Raises
    ------
    Exception
        What the model raises at z itself. What it raises in a probe is the reason why that was not tried.

    Examples
    --------
    >>> import torch
    >>> from bdia_numerics.torch import repeatability
    >>> dropout = torch.nn.Dropout(0.5)
    >>> found = repeatability(lambda z, t: dropout(z), torch.ones(2, 500))
    >>> found.exact, found.probes["the same call"].differing > 0
    (False, True)
    >>> repeatability(lambda z, t: dropout.eval()(z), torch.ones(2, 500)).exact
    True
    """
    require_tensor("z", z)
    network = getattr(model, "network", model)
    model = NetworkModel(model) if isinstance(model, torch.nn.Module) else model
    probes, not_tried = dict[str, Difference](), dict[str, str]()
    with torch.no_grad():
        # Cloned: a model that writes every output into one tensor would agree with itself.
        whole = _ask(model, z, t).clone()
        size = max(rms(whole), float(torch.finfo(z.dtype).tiny))
        tried: Iterator[Probe] = chain(
            _by_batch(model, z, t),
            _by_kernel(model, z, t),
            _by_device(model, network, z, t, device),
            ((name, nullcontext(), partial(_ask, one, z, t)) for name, one in (others or {}).items()),
        )
        for name, way, ask in tried:
            if isinstance(way, str):
                not_tried[name] = way
                continue
            try:
                with way:
                    found = ask().to(whole)
            except (AssertionError, RuntimeError, TypeError, ValueError) as error:
                not_tried[name] = f"it raises {type(error).__name__}: {' '.join(str(error).split())[:200]}"
                continue
            apart = (found - whole[: len(found)]).abs()
            probes[name] = Difference(int((apart != 0).sum()), float(apart.max()) / size)
    return Repeatability(probes, not_tried)


Probe = tuple[str, AbstractContextManager[Any] | str, Callable[[], torch.Tensor]]
"""A name, what to be in or why it cannot be tried, and what gives the output of the first states."""


def _ask(model: Any, z: torch.Tensor, t: Any) -> torch.Tensor:
    return model(z.clone(), t)


def _by_batch(model: Any, z: torch.Tensor, t: Any) -> Iterator[Probe]:
    yield "the same call", nullcontext(), partial(_ask, model, z, t)
    few = "z has a batch of 1: pass 2 states or more"
    for n in [1 << k for k in range((len(z) - 1).bit_length())] or [1]:
        part = partial(_first, n, len(z))
        yield f"a batch of {n}", nullcontext() if len(z) > 1 else few, partial(_ask, _with(model, part), z[:n], t)


def _by_kernel(model: Any, z: torch.Tensor, t: Any) -> Iterator[Probe]:
    if z.ndim == 4:
        # Cloned so, since a state of one channel is in both layouts.
        yield "channels_last", nullcontext(), lambda: model(z.clone(memory_format=torch.channels_last), t)
    cudnn, product, onednn = torch.backends.cudnn, torch.backends.cuda.matmul, torch.backends.mkldnn
    count = 1 if torch.get_num_threads() > 1 else 2
    tf32 = {
        word: _set((product, "allow_tf32", on), (cudnn, "allow_tf32", on))
        for word, on in (("with", True), ("without", False))
    }
    on_cpu = {
        f"{count} thread{'s' * (count > 1)}": on_threads(count),
        "without oneDNN": _set((onednn, "enabled", False)),
    }
    on_cuda = {f"{word} TF32": way for word, way in tf32.items()}
    on_cuda["deterministic cuDNN"] = _set((cudnn, "deterministic", True), (cudnn, "benchmark", False))
    for kind, ways in (("cpu", on_cpu), ("cuda", on_cuda)):
        for name, way in ways.items():
            elsewhere = f"the states are on {z.device.type}"
            yield name, way if z.device.type == kind else elsewhere, partial(_ask, model, z, t)
    for name, kernel in SDPBackend.__members__.items():
        if name not in ("ERROR", "OVERRIDEABLE"):
            yield f"attention by {name}", sdpa_kernel(kernel), partial(_ask, model, z, t)


def _by_device(model: Any, network: Any, z: torch.Tensor, t: Any, device: Any) -> Iterator[Probe]:
    def ask_there() -> torch.Tensor:
        return _ask(_with(model, lambda tensor: tensor.to(device)), z.to(device), t)

    unknown = "" if isinstance(network, torch.nn.Module) else "the model is a function: pass the network's module"
    offloaded = unknown or ("the states are on cpu" if z.is_cpu else _moved(network, "cpu", back=True))
    moved = unknown or ("none was named: pass device=" if device is None else _moved(network, device))
    yield "offloaded to the CPU and back", offloaded, partial(_ask, model, z, t)
    yield f"on {device or 'another device'}", moved, ask_there


def _first(n: int, count: int, tensor: torch.Tensor) -> torch.Tensor:
    return tensor[:n] if tensor.ndim and len(tensor) == count else tensor


def _with(model: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Return the model with other conditions: each tensor of them as `change` makes it."""

    def changed(given: Any) -> Any:
        if isinstance(given, Mapping):
            return {name: changed(value) for name, value in given.items()}
        return change(given) if isinstance(given, torch.Tensor) else given

    if not isinstance(model, NetworkModel):
        return model
    return replace(model, conditions=changed(model.conditions), unconditional=changed(model.unconditional))


@contextmanager
def _set(*changes: tuple[Any, str, Any]) -> Iterator[None]:
    """Give attributes other values inside."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
    try:
        for owner, name, value in changes:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


@contextmanager
def _moved(network: torch.nn.Module, device: Any, *, back: bool = False) -> Iterator[None]:
    """Have a network on another device inside, or have had it there and back; in the end it is where it was."""
    home = next((weight.device for weight in network.parameters()), device)
    try:
        network.to(device)
        if back:
            network.to(home)
        yield
    finally:
        network.to(home)


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Compute with so many threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_thread() -> AbstractContextManager[None]:
    """Compute with one thread inside: sums are then rounded alike in every process, and as many processes can run as there are cores."""
    return on_threads(1)


def bits(solver: Solver, model: Any, grid: Grid, z: torch.Tensor) -> dict[str, Any]:
    """Take a state to the other end and back on the lattice, from noise to data and from data to noise, and compare every bit.

    Parameters
    ----------
    solver, model, grid
        As for `bdia_numerics.solve`; the model takes tensors of z's dtype on z's device.
    z
        z_N, shape (batch, *data), float32 or float64.

    Returns
    -------
    dict
        "from_noise" and "from_data", the bits that differ at the end of the round trip from there, None if it left the lattice's range;
        "unsteady", where the network gave two outputs for one state, empty if it did not; "distance", the largest difference between
        the data end on the lattice and in floats.

    Raises
    ------
    ValueError
        For solvers that are not exact on the lattice.
    """
    arrays = array_model(model, z.dtype, z.device)
    noise: np.ndarray[Any, Any] = z.detach().cpu().numpy()
    found = bit_exact_round_trip(solver, arrays, grid, noise)
    data = solve(solver, arrays, grid, noise).z
    sent = Lattice.from_float(data, bits=40)
    far = encode(solver, arrays, grid, sent)
    back = None if far.state is None else solve(solver, arrays, grid, far.state)
    return {
        "from_noise": found.differing_bits,
        "from_data": back.z.differing_bits(sent) if back is not None and back.status.ok else None,
        "unsteady": found.unsteady,
        "distance": found.distance,
    }


SOLVERS: Mapping[str, Solver] = {
    "BDIA(gamma=1)": BDIA(),
    "BDIA(gamma=9/10)": BDIA(Fraction(9, 10)),
    "BDIA(gamma=1/2)": BDIA(Fraction(1, 2)),
    "EDICT(p=1)": EDICT(1),
    "EDICT(p=93/100)": EDICT(Fraction(93, 100)),
}


def trips(
    make: Callable[[torch.dtype, float], Any],
    solvers: Mapping[str, Solver],
    runs: Iterable[Grid],
    z: torch.Tensor,
    *,
    guidances: Sequence[float] = (1.0,),
    dtypes: Sequence[torch.dtype] = DTYPES,
    watch: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Take noise to data and back with each solver, grid, guidance scale and dtype of the states.

    Parameters
    ----------
    make
        ``make(dtype, guidance)`` is the model for states of a dtype.
    solvers
        Exactly invertible ones, by name.
    runs, guidances, dtypes
        Grids, scales and dtypes: all of their combinations are run.
    z
        z_N in the widest dtype, shape (batch, *data).
    watch
        Called before each trip with its steps and dtype.

    Returns
    -------
    list of dict
        One for each trip: "solver", "dtype", "steps" and "guidance"; "error", the root mean square of the noise that came back less the
        noise that was sent, NaN if a run was not finite; "status", "ok" or where it went wrong; and "predicted", which is
        `analysis.round_trip_error` of tensors of this dtype, with the slopes of a unit Gaussian: it knows neither the network nor the
        guidance.

    Raises
    ------
    NotInvertibleError
        (a ValueError) for a solver without derived inverse.
    """
    rows = []
    for grid in runs:
        expected: dict[str, Mapping[str, float]] = {}
        for guidance in guidances:
            for dtype in dtypes:
                model, sent, word = make(dtype, guidance), z.to(dtype), str(dtype).removeprefix("torch.")
                for name, solver in solvers.items():
                    if watch is not None:
                        watch(f"{grid.n} steps, {word}")
                    if name not in expected:
                        expected[name] = round_trip_error(solver, grid, prediction=prediction_of(model)).tensors
                    error, status = _trip(solver, model, grid, sent)
                    rows.append({
                        "solver": name, "dtype": word, "steps": grid.n, "guidance": guidance, "error": error, "status": status,
                        "predicted": expected[name][word],
                    })  # fmt: skip
    return rows


def _trip(solver: Solver, model: Any, grid: Grid, sent: torch.Tensor) -> tuple[float, str]:
    there = solve(solver, model, grid, sent)
    if not there.status.ok or there.state is None:
        return float("nan"), str(there.status)
    back = invert(solver, model, grid, there.state)
    return rms(back.z.double() - sent.double()) if back.status.ok else float("nan"), str(back.status)


def network_of(loaded: Loaded, labels: Sequence[int] | None) -> Callable[[torch.dtype, float], Any]:
    """Return `make` of `trips` for a network, which is moved from one dtype to the other in place.

    It is asked in float64 for states of float64 and in float32 for the others, so that one network is compared and its weights are never
    narrowed.
    """

    def make(dtype: torch.dtype, guidance: float) -> Any:
        kind = torch.float64 if dtype == torch.float64 else torch.float32
        return loaded.to(kind).model(labels, guidance=guidance)

    return make


def shipped_trips(
    *, slots: Sequence[int] = (10, 20, 40), labels: Sequence[int] = (3,), watch: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Return the trips of `SOLVERS` on the shipped network, guidance 1 and 3, as fields under "round_trips" beside how they were made.

    Parameters
    ----------
    slots
        Of uniform grids of the whole schedule.
    labels
        One for each state.
    watch
        As for `trips`.
    """
    network = load(dtype=torch.float64)
    runs = [grids.uniform(network.schedule, n) for n in slots]
    z = noise((len(labels), *(network.shape or ())), runs[0], 0, dtype=torch.float64)
    with one_thread():
        rows = trips(network_of(network, labels), SOLVERS, runs, z, guidances=(1.0, 3.0), watch=watch)
    return {"grid": "uniform", "labels": list(labels), "seed": 0, "round_trips": rows}


def cells(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[int, str, float], dict[str, str]]:
    """Return the fields of trips as text: by steps, solver and guidance, then by dtype; in brackets what was expected, for guidance 1."""
    found: dict[tuple[int, str, float], dict[str, str]] = {}
    for row in rows:
        measured = f"{row['error']:.1e}" if row["status"] == "ok" else "not finite"
        expected = "inf" if row["predicted"] is None else f"{row['predicted']:.1e}"
        text = f"{measured} ({expected})" if row["guidance"] == 1 else measured
        found.setdefault((row["steps"], row["solver"], row["guidance"]), {})[row["dtype"]] = text
    return dict(sorted(found.items(), key=lambda item: (item[0][0], [*SOLVERS].index(item[0][1]))))


def markdown(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return `cells` as a table of Markdown."""
    made = cells(rows)
    names = list(dict.fromkeys(name for texts in made.values() for name in texts))
    return table(
        ["steps", "solver", "guidance", *names],
        (
            [steps, f"`{solver}`", f"{guidance:g}", *map(texts.__getitem__, names)]
            for (steps, solver, guidance), texts in made.items()
        ),
    )
