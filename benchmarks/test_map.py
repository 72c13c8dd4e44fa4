"""The standard map: 5 gammas, 6 grids, 4 numbers of steps, 1,000 states on the line, O-BELM and EDICT beside it."""

from timing import processor

from bdia_numerics.studies import run
from bdia_numerics.studies.gamma_map import MAP, MapConfig


def seconds():
    return {"standard map": processor(lambda: run(MAP, MapConfig()))}


def test_standard_map(figures):
    figures(seconds)
