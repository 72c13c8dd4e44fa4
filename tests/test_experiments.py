"""Studies of experiments/ at a small size: what they find is what is known, and their figures can be drawn."""

import importlib
import math
from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("xarray", reason="needs the extra sweep")
pytest.importorskip("matplotlib", reason="needs the extra report")

from bdia_numerics import BDIA, DDIM, EDICT
from bdia_numerics.plots import image
from bdia_numerics.studies import gamma_map


def script(name):
    return importlib.import_module(name)  # one of them is called map


def drawn(name, found):
    assert image(script(name).figure(found), format="png").startswith(b"\x89PNG")


def test_slopes_are_the_orders():
    """DDIM has order 1 on both grids; BDIA with gamma 1 has order 2, and 1 where steps alternate."""
    found = script("convergence").study({"DDIM": DDIM(), "BDIA": BDIA(1)}, (40, 80, 160))
    slopes = found["slope"].sel(steps=160).values
    # At 160 steps the next order is below a twentieth of the leading one.
    assert slopes == pytest.approx(np.array([[1, 2], [1, 1]]), abs=0.05)
    drawn("convergence", found)


def test_costs_are_counted():
    found = script("work_precision").study({"BDIA": (BDIA(1), 1), "EDICT": (EDICT(), 2)}, (20, 40))
    assert (found["nfe"] == found["evaluations"]).all() and (found["seconds"] > 0).all()
    falls = found["error"].sel(evaluations=20) / found["error"].sel(evaluations=40)
    assert float(falls.sel(solver="BDIA")) == pytest.approx(4, rel=0.1)
    drawn("work_precision", found)


def test_an_exact_return_is_no_true_latent():
    roundtrip = script("roundtrip")
    found = roundtrip.study(
        {k: roundtrip.METHODS[k] for k in ("DDIM, (10)", "BDIA, gamma 1/2", "BDIA, gamma 1")}, (20, 40)
    )
    error, distance = (found[name].sel(steps=20) for name in ("error", "distance"))
    assert float(error.sel(solver="DDIM, (10)")) > 0.05
    # The root -1/gamma of the inverse: 2^20 roundings there and, in the latent, as much of the start's error.
    assert float(error.sel(solver="BDIA, gamma 1/2")) < 1e-11 and float(distance.sel(solver="BDIA, gamma 1/2")) > 1e3
    assert float(error.sel(solver="BDIA, gamma 1")) < 1e-14 and float(distance.sel(solver="BDIA, gamma 1")) < 0.02
    drawn("roundtrip", found)


def test_rounding_grows_with_powers_of_gamma():
    found = script("precision").study((Fraction(1, 2), Fraction(1)), 12)
    assert found.sizes == {"grid": 2, "dtype": 3, "gamma": 2}
    ratios = found["error"] / found["predicted"]
    # Independent roundings are the model of the prediction; float16 at gamma 1 undoes some of them.
    assert (ratios > 1 / 3).all() and (ratios < 3).all()
    grown = found["error"].sel(gamma=0.5) / found["error"].sel(gamma=1.0)
    assert (grown > 2**8).all() and (grown < 2**14).all()  # about gamma^-(N-1)
    drawn("precision", found)


def test_the_best_gamma_depends_on_the_grid():
    found = script("map").study(tuple(Fraction(k, 2) for k in range(3)), (10, 20))
    assert (found["gain"] >= 1).all()
    # The last slot of the leading grid is tiny: there gamma 1 is not the best, as on the quadratic one.
    assert found["best"].sel(steps=20, grid=["leading", "quadratic"]).values.tolist() == [0.5, 1]
    cell = {"grid": "leading", "steps": 20, "solver": "BDIA", "gamma": 0.5}
    expected = gamma_map.compute(gamma_map.MapConfig(), cell)["error"]
    assert float(found["error"].sel(grid="leading", steps=20, gamma=0.5)) == pytest.approx(expected, rel=1e-12, abs=0)
    drawn("map", found)


def test_roots_and_regions():
    stability = script("stability")
    assert stability.roots(BDIA(Fraction(1, 2)), "invert") == pytest.approx([-2, 1])
    found = stability.study(
        {"DDIM": DDIM(), "BDIA": BDIA(1)}, {"real": (-2.5, 0.5), "imaginary": (-2, 2), "resolution": 13}
    )
    assert found["run"].values.tolist() == ["DDIM, sample", "BDIA, sample", "BDIA, invert"]
    disc = found["radius"].sel(run="DDIM, sample")
    assert disc.values == pytest.approx(np.abs(1 + disc["real"] + 1j * disc["imaginary"]).T.values)
    drawn("stability", found)


def test_enclosures_hold_the_spread():
    pytest.importorskip("flint", reason="needs the extra balls")
    found = script("enclosures").study((4,), (3, 12))["radius"].isel(slots=0)
    spread = found.sel(curve="sampled spread")
    proved = found.drop_sel(curve="sampled spread")
    assert (spread > 0).all() and (proved >= spread).all() and math.isfinite(float(proved.max()))
    # At half-width 1/8 dependency costs balls alone more than it costs the mean-value form at 1/4096.
    assert float(proved.sel(curve="balls alone", width=2.0**-12)) > float(
        proved.sel(curve="mean-value form", width=2.0**-12)
    )
    drawn("enclosures", found.expand_dims(slots=[4]).to_dataset(name="radius"))
