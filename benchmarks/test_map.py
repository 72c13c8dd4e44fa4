"""The standard map: 5 gammas, 6 grids, 4 numbers of steps, 1,000 states on the line, O-BELM and EDICT beside it."""

import pytest

from bdia_numerics.studies import run
from bdia_numerics.studies.gamma_map import MAP, MapConfig

AT_MOST = 20.0


@pytest.mark.benchmark(group="map")
def test_standard_map(benchmark):
    found = benchmark.pedantic(run, (MAP, MapConfig()), rounds=1, iterations=1)
    seconds = benchmark.stats.stats.mean
    benchmark.extra_info.update(seconds=seconds, at_most=AT_MOST, cells=found["error"].size)
    assert seconds < AT_MOST
