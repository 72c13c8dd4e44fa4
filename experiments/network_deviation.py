"""Why BDIA strays from a network's own ODE: the numbers and the figure of docs/findings/network-growth.md.

``python experiments/network_deviation.py [--out FOLDER]`` (three minutes of one core) takes BDIA's error on the shipped network of
digits apart, on two grids of 40 slots. It writes FOLDER/network-deviation.nc and FOLDER/network-deviation.png; `bdia pages
network-deviation --recompute` draws the page's picture.
"""

from fractions import Fraction

import numpy as np
import torch
import xarray
from output import folder, keep

from bdia_numerics import BDIA, RK4, grids, solve
from bdia_numerics.plots.style import Panel, draw
from bdia_numerics.torch import load, noise
from bdia_numerics.torch.networks.growth import growth
from bdia_numerics.torch.networks.jacobians import linearised
from bdia_numerics.torch.networks.sampling import refined, rms
from bdia_numerics.torch.networks.steadiness import one_thread

GRIDS = {"uniform": grids.uniform, "quadratic": grids.quadratic}
GAMMAS = (Fraction(0), Fraction(1, 2), Fraction(9, 10), Fraction(1))
LABELS, SLOTS, ITERATIONS = (3, 1), 40, 8


def exact(model, grid, z, substeps):
    """Return z_0, ..., z_N on the network's own ODE from z = z_N, shape (N+1, *z.shape), by RK4 steps in each slot."""
    states = [z]
    for i in range(grid.n, 0, -1):
        states.append(solve(RK4(), model, refined(grid[i - 1 : i], substeps), states[-1]).z)
    return torch.stack(states[::-1])


def errors(model, grid, z, gammas, path):
    """Return BDIA's errors by gamma against the exact `path`: as it is, and with one cause taken away."""
    alpha, rows = torch.tensor(np.asarray(grid.alpha, dtype=float)).to(z).reshape(-1, *[1] * z.ndim), []
    for gamma in gammas:
        e = solve(BDIA(gamma), model, grid, z, return_trajectory=True).trajectory - path
        y = e / alpha
        damped = BDIA(lambda slot, gamma=gamma: gamma if slot.i > 1 else Fraction(0))
        rows.append(
            {
                "error": [rms(at) for at in e],
                "exact_start": rms(solve(BDIA(gamma), model, grid, z, [path[grid.n - 1]]).z - path[0]),
                "damped_end": rms(solve(damped, model, grid, z).z - path[0]),
                # At index 1: a mode of alternating sign has no smooth part.
                "smooth": rms((y[2] + 2 * y[1] + y[0]) / 4),
                "rough": rms((y[2] - 2 * y[1] + y[0]) / 4),
            }
        )
    return {
        name: (("gamma", "index")[: np.ndim(rows[0][name]) + 1], np.array([row[name] for row in rows]))
        for name in rows[0]
    }


def carried(solver, model, grid, path):
    """Carry the defect of each step from the exact states to the data end, by the Jacobian E of the network there.

    A step of BDIA is linear in its states and in eps. So the step itself carries an error e, if E e takes the place of eps.
    """
    n = grid.n
    with torch.no_grad():
        defects = {n - 1: solve(solver, model, grid[n - 1 : n], path[n]).z - path[n - 1]}
        for i in range(n - 1, 0, -1):
            defects[i - 1] = solve(solver, model, grid[i - 1 : i + 1], path[i + 1], [path[i]]).z - path[i - 1]
    groups = {"start": {n - 1}, "first half": range(n // 2, n - 1), "second half": range(1, n // 2), "last slot": {0}}
    kinds, nothing = {**groups, "all": range(n), "symmetric": range(n)}, torch.zeros_like(path[0])
    pairs = {kind: (nothing, defects[n - 1] if n - 1 in part else nothing) for kind, part in kinds.items()}
    tightness, asymmetry = np.full(n + 1, np.nan), np.full(n + 1, np.nan)
    for i in range(n - 1, 0, -1):
        at = linearised(model, path[i], grid.t[i])
        e = pairs["all"][1]
        forward, transposed = at.push(e), at.pull(e)
        tightness[i] = float(grid.sigma[i]) * float((e * forward).sum() / e.square().sum())
        asymmetry[i] = rms(forward - transposed) / (2 * rms(forward))
        for kind, (older, z) in pairs.items():

            def slope(v, t, at=at, symmetric=kind == "symmetric"):
                return (at.push(v) + at.pull(v)) / 2 if symmetric else at.push(v)

            after = solve(solver, slope, grid[i - 1 : i + 1], older, [z]).z
            pairs[kind] = z, after + defects[i - 1] if i - 1 in kinds[kind] else after
    final = {kind: rms(z) for kind, (_, z) in pairs.items()}
    return {
        "linear": final.pop("all"),
        "symmetric": final.pop("symmetric"),
        "share": ("cause", list(final.values())),
        "tightness": ("index", tightness),
        "asymmetry": ("index", asymmetry),
    }


def deviation(model, grid, z, gammas=GAMMAS):
    """Take BDIA's error on a network apart; the last gamma's is carried. Root mean squares over all elements."""
    with torch.no_grad():
        path = exact(model, grid, z, 2)
        once = exact(model, grid, z, 1)
        found = errors(model, grid, z, gammas, path)
    found |= carried(BDIA(gammas[-1]), model, grid, path)
    found |= {"sigma_bar": ("index", np.asarray(grid.sigma / grid.alpha, float)), "reference": rms(path[0] - once[0])}
    causes = ["start", "first half", "second half", "last slot"]
    return xarray.Dataset(found, {"gamma": [float(g) for g in gammas], "cause": causes})


def amplified(model, grid, z):
    """Return the largest growth of a perturbation by the whole run, measured and by companion matrices, both ways."""
    ways = ("sample", "invert")
    found = [growth(BDIA(1), model, grid, z, direction=way, iterations=ITERATIONS) for way in ways]
    return xarray.Dataset(
        {
            "amplification": (("direction", "image"), [one.total for one in found]),
            "predicted": (("direction", "image"), [one.predicted for one in found]),
            "bare": ("direction", [one.bare for one in found]),
        },
        {"direction": list(ways), "image": list(LABELS)},
    )


def study():
    """Take BDIA's error on the shipped network apart, on both grids."""
    network = load(dtype=torch.float64)
    model, parts = network.model(list(LABELS)), []
    with one_thread():
        for name, make in GRIDS.items():
            grid, short = make(network.schedule, SLOTS), make(network.schedule, SLOTS // 2)
            z = noise((len(LABELS), *network.shape), grid, 0, dtype=torch.float64)
            parts.append(xarray.merge([deviation(model, grid, z), amplified(model, short, z)]).expand_dims(grid=[name]))
    return xarray.concat(parts, "grid")


def figure(found):
    """Draw, for each grid, the error along the run by gamma, and that at the data end by what was taken away."""
    panels = []
    variants = {"exact_start": "exact second state", "damped_end": "gamma 0 in the last slot"}
    for name in found["grid"].values:
        one = found.sel(grid=name)
        along = {f"gamma {g:g}": (one["sigma_bar"][:-1], one["error"].sel(gamma=g)[:-1]) for g in one["gamma"].values}
        ends = {"as it is": (one["gamma"], one["error"].isel(index=0))}
        ends |= {label: (one["gamma"], one[key]) for key, label in variants.items()}
        panels.append(
            Panel(
                "sigma/alpha, the data end left",
                "error of $z_i$",
                along,
                title=f"{name} grid",
                log="xy",
                ticks=(0.01, 0.1, 1, 10, 100),
            )
        )
        panels.append(Panel("gamma", "error of $z_0$", ends, title=f"{name} grid: at the data end"))
    return draw(*panels)


FIGURES = {"network-growth": lambda: figure(study())}

if __name__ == "__main__":
    out, found = folder(__doc__), study()
    for name in GRIDS:
        print(found.sel(grid=name))
    keep(out, "network-deviation", figure(found), found)
