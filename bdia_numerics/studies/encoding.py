"""Which solver encodes: latents, returns, amplification and edits at equal evaluations, on exact distributions and on the shipped network.

Data go to noise with the evaluations that a budget pays for, starts included. A rank is claimed only where intervals do not overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np

from bdia_numerics import grids, names
from bdia_numerics.analysis import amplification, gaussian_jacobian
from bdia_numerics.grids import Grid
from bdia_numerics.program import NotInvertibleError, structure
from bdia_numerics.runs.encoding import Solution, back_to_data, encode, solve
from bdia_numerics.runs.inversion import split
from bdia_numerics.solvers import DDIM, DPMSolverPP
from bdia_numerics.spaces import Array
from bdia_numerics.studies import network
from bdia_numerics.studies.engine.local import one_blas_thread
from bdia_numerics.studies.network_studies import TARGETS, ImagesConfig
from bdia_numerics.studies.records import records
from bdia_numerics.studies.reproduction import half_width
from bdia_numerics.studies.study import (
    DIRECTIONS,
    Cell,
    Study,
    Variable,
    among,
    check,
    solver_of,
    to_clean,
)

SCHEDULE = names.schedule("ddpm_linear")
"""That of the shipped network, on which the exact distributions are encoded, too."""
NETWORK = "network, guidance "


@dataclass(frozen=True)
class EncodeConfig:
    """What to run; by default a small part, of two minutes of one core. `examples/encode.toml` has the published table.

    Attributes
    ----------
    solvers
        As `bdia_numerics.names` reads them, with an inversion behind them if it is not the default of `encode`: "DDIM by (23)".
    problems
        Names of `bdia_numerics.names`: distributions with an exact score.
    guidances
        Scales of the shipped network, there and back; none leaves the network out.
    grids
        Names of `bdia_numerics.names`, on the schedule of the network; those with a last time end at clean data unless they say it.
    evaluations
        Of the model from data to noise, the start included. Each solver takes as many slots as they pay for.
    states, images
        Of one seed: draws of a distribution, samples of the network, of the labels 0 to 9 in turn.
    seeds, seed
        How many seeds, at least 2, and the first one.
    dtypes, network_dtypes
        Floats of the round trips; the latent is that of the widest.
    fine
        Slots of RK4 for the network's own ODE.
    variance
        Of the Gaussian mode whose slopes the amplification is for.
    """

    solvers: tuple[str, ...] = (
        "DDIM", "DDIM by (23)", "BDIA(gamma=1)", "EDICT", "OBELM", "ALF", "ALF(variable=angle)", "SymmetricMultistep(variable=angle)",
        "PLMS",
    )  # fmt: skip
    problems: tuple[str, ...] = ("mixture", "tight")
    guidances: tuple[float, ...] = (1.0,)
    grids: tuple[str, ...] = ("trailing", "cut", "log_snr:t_min=0")
    evaluations: tuple[int, ...] = (20,)
    states: int = 16
    images: int = 3
    seeds: int = 5
    seed: int = 0
    dtypes: tuple[str, ...] = ("float32", "float64")
    network_dtypes: tuple[str, ...] = ("float32",)
    fine: int = 20
    variance: float = 1e-4

    def __post_init__(self) -> None:
        check(
            self, "solvers", "grids", "evaluations", "dtypes", "network_dtypes", encodes=True, evaluations=4, states=2, images=1,
            seeds=2, fine=4,
        )  # fmt: skip
        among(self, dtypes=names.NUMPY_DTYPES, network_dtypes=names.NUMPY_DTYPES)
        if not (self.problems or self.guidances):
            raise ValueError("problems and guidances are empty: give a problem or a guidance")


@lru_cache(maxsize=512)
def _grid(text: str, n: int) -> Grid:
    return to_clean(text, SCHEDULE, n)


@cache
def affordable(solver: str, grid: str, budget: int) -> tuple[int, str]:
    """Return the most slots with which a solver encodes by at most so many evaluations; 0 if there are none, and then why."""
    made, law = solver_of(solver), names.distribution("tight")  # on which iterations do not end early
    x = law.sample(16, np.random.default_rng(0))
    n, why = budget // structure(made).nfe + 3, f"{budget} evaluations pay for no step"
    while n > structure(made).depth + 1:
        nfe = budget
        try:
            nfe = encode(made, law.model(SCHEDULE), _grid(grid, n), x, split(solver)[1]).nfe
            if nfe <= budget:
                return n, ""
            why = f"{budget} evaluations do not pay the start and two steps: {n} slots take {nfe}"
        except (ValueError, ArithmeticError) as error:
            why = f"no run from clean data: {str(error).partition(': ')[0]}"
        n -= max(1, (nfe - budget) * n // nfe)  # a slot costs nfe/n at most, beside the start
    return 0, why


def _afforded(cell: Cell) -> tuple[Any, str]:
    n, why = affordable(str(cell["solver"]), str(cell["grid"]), int(cell["evaluations"]))
    return _grid(str(cell["grid"]), n) if n else None, why


def compute(config: EncodeConfig, cell: Cell) -> Mapping[str, Any]:
    """Return latents, returns, amplification and edits of one solver on one grid, by seed."""
    text, (grid, why) = str(cell["solver"]), _afforded(cell)
    if why:
        return {"status": why}
    found = (_on_network if str(cell["target"]).startswith(NETWORK) else _on_law)(config, cell)
    factors = []
    for direction in DIRECTIONS:
        factors.append(np.nan)
        with suppress(NotInvertibleError), np.errstate(all="ignore"):
            factors[-1] = amplification(solver_of(text), grid, direction, J=gaussian_jacobian(config.variance)).total
    return {**found, "slots": grid.n, "growth": np.array(factors)}


def _seeds(config: EncodeConfig) -> range:
    return range(config.seed, config.seed + config.seeds)


def _on_law(config: EncodeConfig, cell: Cell) -> Mapping[str, Any]:
    law, grid, solver = names.distribution(str(cell["target"])), _afforded(cell)[0], solver_of(str(cell["solver"]))
    method = split(str(cell["solver"]))[1]
    x, truth, uncertain = _flow(config, str(cell["target"]), float(grid.t[grid.n]), float(grid.t[0]))
    model, trips = law.model(SCHEDULE), {}
    with one_blas_thread(), np.errstate(all="ignore"):
        for dtype in sorted(config.dtypes, key=lambda d: np.finfo(d).bits):
            sent = x.astype(dtype)
            there = encode(solver, model, grid, sent, method)
            trips[dtype] = _missed(back_to_data(solver, model, grid, there), sent, config)
    return _found(config, there, np.asarray(there.z, float), truth, uncertain, trips)


@lru_cache(maxsize=64)
def _flow(config: EncodeConfig, problem: str, far: float, near: float) -> tuple[Array, Array, float]:
    """Return draws of a distribution of all seeds at the near end, shape (seeds * states, D), and where the exact flow takes them."""
    law = names.distribution(problem)
    x = np.concatenate([law.sample(config.states, seed, near, SCHEDULE) for seed in _seeds(config)])
    flow = law.flow_certified(x, near, far, SCHEDULE)
    return x, flow.z, float(flow.certificate.uncertainty)


@network.one_thread
def _on_network(config: EncodeConfig, cell: Cell) -> Mapping[str, Any]:
    guidance, (solver, method) = float(str(cell["target"]).removeprefix(NETWORK)), network.way(str(cell["solver"]))
    grid, _ = _afforded(cell)
    labels, x = network.labels(config.images * config.seeds), _images(config)
    truth, uncertain = _own_ode(config, guidance, float(grid.t[grid.n]), float(grid.t[0]))
    trips: dict[str, Array] = {}
    for word in sorted(config.network_dtypes, key=lambda d: np.finfo(d).bits):
        shipped = network.shipped("float64" if word == "float64" else "float32")
        model, sent = shipped.model(labels, guidance=guidance), x.to(network.tensors.dtype_named(word))
        there = encode(solver, model, grid, sent, method)
        back = back_to_data(solver, model, grid, there)
        trips[word] = _missed(back, sent.double().numpy(), config)
    found = _found(config, there, there.z.double().numpy(), truth, uncertain, trips)
    if not there.status.ok:
        return found
    wanted = TARGETS[labels]
    other = shipped.model(wanted, guidance=guidance)
    begin = there.z if there.state is None else there.state
    for name, way, first in (("edits", solver, begin), ("edits_alone", DDIM(), there.z)):
        edited = solve(way, other, grid, first)
        read = (
            network.networks.features.predicted(edited.z.double().numpy()) == wanted
            if edited.status.ok
            else np.zeros(len(labels), bool)
        )
        found[name] = read.reshape(config.seeds, -1).mean(1)
    return found


@lru_cache(maxsize=2)
def _images(config: EncodeConfig) -> Any:
    """Return samples of the network of all seeds, of the labels 0 to 9 in turn, at the least noise of its training."""
    shipped, fine = network.shipped(), network.shipped().grid(40, "log_snr")
    drawn = [network.noise(ImagesConfig(images=config.images, seed=seed), fine) for seed in _seeds(config)]
    z = drawn[0].new_tensor(np.concatenate([one.numpy() for one in drawn]))
    return solve(DPMSolverPP(), shipped.model(network.labels(len(z))), fine, z).z


@lru_cache(maxsize=64)
def _own_ode(config: EncodeConfig, guidance: float, far: float, near: float) -> tuple[Array, float]:
    shipped, x = network.shipped(), _images(config)
    model, ends = (
        shipped.model(network.labels(len(x)), guidance=guidance),
        grids.from_timesteps(shipped.schedule, [far, near]),
    )
    truth = network.networks.sampling.latent_reference(model, ends, x, config.fine)
    return truth.z.double().numpy(), truth.error


def _missed(back: Solution, sent: Array, config: EncodeConfig) -> Array:
    """Return the root mean square error of what came back, by seed; NaN for a run that was not finite."""
    if not back.status.ok:
        return np.full(config.seeds, np.nan)
    error = np.asarray(back.z, float) - np.asarray(sent, float)
    return np.sqrt(np.mean(error.reshape(config.seeds, -1) ** 2, axis=1))


def _found(
    config: EncodeConfig, there: Solution, z: Array, truth: Array, uncertain: float, trips: Mapping[str, Array]
) -> dict[str, Any]:
    held = [d for d in names.NUMPY_DTYPES if d in {*config.dtypes, *config.network_dtypes}]
    missed = np.array([trips.get(d, np.full(config.seeds, np.nan)) for d in held])
    found = {"nfe": there.nfe, "inversion": there.inversion, "status": str(there.status), "missed": missed}
    if not there.status.ok:
        return found
    by_seed = z.reshape(config.seeds, -1)
    each = np.sqrt(np.mean((z - truth).reshape(config.seeds, len(z) // config.seeds, -1) ** 2, axis=2))
    centred = by_seed - by_seed.mean(1, keepdims=True)
    return found | {
        "latents": np.sqrt(np.mean(each**2, axis=1)),
        "medians": np.median(each, axis=1),
        "averages": by_seed.mean(1),
        "stds": by_seed.std(1),
        "kurtoses": np.mean(centred**4, 1) / np.mean(centred**2, 1) ** 2,
        "uncertainty": uncertain,
    }


def interval(values: Array) -> tuple[Array, Array, Array]:
    """Return geometric mean, lower and upper end of the 95% interval of Student's t over the last axis, in logarithms.

    Examples
    --------
    >>> [round(float(x), 3) for x in interval(np.array([1.0, 2.0, 4.0]))]
    [2.0, 0.357, 11.19]
    """
    with np.errstate(all="ignore"):
        logs = np.log(values)
        middle, half = logs.mean(-1), half_width(logs, of_mean=True)
        return np.exp(middle), np.exp(middle - half), np.exp(middle + half)


def surely_better(low: Array, high: Array) -> Array:
    """Return for each solver, along the last axis, how many others have an interval that lies below its own; NaN without an interval.

    Examples
    --------
    >>> surely_better(np.array([1.0, 1.5, 4.0]), np.array([2.0, 3.0, 5.0])).tolist()
    [0.0, 0.0, 2.0]
    """
    count = (high[..., None, :] < low[..., :, None]).sum(-1).astype(float)
    return np.where(np.isfinite(low), count, np.nan)


def _finish(dataset: Any) -> Any:
    """Derive what the table has from the values by seed."""
    cells = ("target", "grid", "evaluations", "solver")
    made: dict[str, Any] = {}
    if "latents" in dataset:
        latent, low, high = interval(dataset["latents"].transpose(*cells, "seed").values)
        means = dict.fromkeys(("medians", "averages", "stds", "kurtoses", "edits", "edits_alone"))
        made = {"latent": latent, "low": low, "high": high, "better": surely_better(low, high)}
        made |= {
            f"mean_{name}": dataset[name].transpose(*cells, "seed").values.mean(-1) for name in means if name in dataset
        }
    for dtype in dataset["dtype"].values if "missed" in dataset else ():
        made[f"return_{dtype}"] = dataset["missed"].sel(dtype=dtype).transpose(*cells, "seed").values.mean(-1)
    for direction in DIRECTIONS if "growth" in dataset else ():
        made[f"growth_{direction}"] = dataset["growth"].sel(direction=direction).transpose(*cells).values
    return dataset.assign(
        {name: (cells, values, {"long_name": _DERIVED[name], "units": "1"}) for name, values in made.items()}
    )


_DERIVED = {
    "latent": "rms of the latent less the exact flow's, geometric mean over seeds",
    "low": "lower end of the 95% interval of the latent error",
    "high": "upper end of the 95% interval of the latent error",
    "better": "solvers whose interval lies below this one's",
    "mean_medians": "median over states of the latent error, mean over seeds",
    "mean_averages": "mean of the latents",
    "mean_stds": "standard deviation of the latents",
    "mean_kurtoses": "kurtosis of the latents; 3 is that of noise",
    "mean_edits": "part of the images read as wanted after an edit",
    "mean_edits_alone": "the same where DDIM decodes z alone",
    **{f"return_{d}": f"rms of what came back less what was sent, {d}" for d in names.NUMPY_DTYPES},
    **{f"growth_{d}": f"largest growth of a perturbation, {d}" for d in DIRECTIONS},
}


def _rows(found: Any) -> list[dict[str, Any]]:
    rows = records(ENCODING, found)
    places = {name: {v: k for k, v in enumerate(found[name].values.tolist())} for name in ("target", "grid")}
    return sorted(
        rows,
        key=lambda r: (
            *(places[name][r[name]] for name in places),
            r["evaluations"],
            not r.get("latent", np.nan) < np.inf,
            r.get("latent", 0),
        ),
    )


ENCODING = Study(
    "encode_table",
    "Which solver encodes: latents, returns, amplification and edits at equal evaluations",
    EncodeConfig,
    dims=lambda config: {
        "target": (*config.problems, *(f"{NETWORK}{g:g}" for g in config.guidances)),
        "grid": config.grids,
        "evaluations": config.evaluations,
        "solver": config.solvers,
    },
    inner=lambda config: {
        "seed": tuple(_seeds(config)),
        "dtype": tuple(d for d in names.NUMPY_DTYPES if d in {*config.dtypes, *config.network_dtypes}),
        "direction": DIRECTIONS,
    },
    compute=compute,
    variables={
        "latents": Variable("rms of the latent less the exact flow's", dims=("seed",)),
        "medians": Variable("median over states of the latent error", dims=("seed",)),
        "averages": Variable("mean of the latents", dims=("seed",)),
        "stds": Variable("standard deviation of the latents", dims=("seed",)),
        "kurtoses": Variable("kurtosis of the latents", dims=("seed",)),
        "missed": Variable("rms of what came back less what was sent", dims=("dtype", "seed")),
        "edits": Variable("part of the images read as wanted after an edit", dims=("seed",)),
        "edits_alone": Variable("the same where DDIM decodes z alone", dims=("seed",)),
        "growth": Variable("largest growth of a perturbation by the steps", dims=("direction",)),
        "uncertainty": Variable("error of the flow that the latents are compared with"),
        "nfe": Variable("model evaluations from data to noise", whole=True),
        "slots": Variable("slots of the grid", whole=True),
        "inversion": Variable("what ran from data to noise"),
        "status": Variable("status"),
    },
    finish=_finish,
    rows=_rows,
    caption="{seeds} seeds of {states} states or {images} images. better: solvers whose interval lies below; float32, float64: errors of "
    "the return; sample, invert: growth",
    columns={
        "target": "{target}",
        "grid": "{grid}",
        "solver": "{solver}",
        "NFE": "{nfe}",
        "latent": "{latent:.2g}",
        "95%": "{low:.2g} to {high:.2g}",
        "better": "{better:.0f}",
        "median": "{mean_medians:.2g}",
        "std": "{mean_stds:.2f}",
        "kurtosis": "{mean_kurtoses:.1f}",
        "float32": "{return_float32:.1g}",
        "float64": "{return_float64:.1g}",
        "sample": "{growth_sample:.1g}",
        "invert": "{growth_invert:.1g}",
        "edits": "{mean_edits:.2f}",
        "by DDIM": "{mean_edits_alone:.2f}",
    },
    figure="network:latents",
)
