"""Numbers and figure of docs/findings/network-growth.md: python experiments/network_growth.py [FOLDER OF A DIFFUSERS NETWORK]."""

import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch

from bdia_numerics import BDIA, grids, plots
from bdia_numerics.plots.network_growth import network_growth
from bdia_numerics.torch import load, noise
from bdia_numerics.torch.deviation import deviation
from bdia_numerics.torch.growth import growth

IMAGE = Path(__file__).resolve().parent.parent / "docs" / "images" / "network-growth.png"


def main(folder=None):
    """Print the numbers as JSON, and write the figure."""
    torch.set_num_threads(1)
    network = load(folder, dtype=torch.float64)
    model = network.model([3, 1])
    found = {}
    for name in ("uniform", "quadratic"):
        grid = getattr(grids, name)(network.schedule, 40)
        z = noise((2, *network.shape), grid, 0, dtype=torch.float64)
        found[name] = asdict(deviation(model, grid, z, watch=partial(print, name, file=sys.stderr)))
        short = getattr(grids, name)(network.schedule, 20)
        for direction in ("sample", "invert"):
            grown = growth(BDIA(), model, short, z, direction=direction, iterations=6)
            found[name][direction] = asdict(grown)
    print(json.dumps(found, default=lambda x: np.asarray(x).tolist()))
    IMAGE.write_bytes(plots.image(network_growth(found), format="png"))


if __name__ == "__main__":
    main(*sys.argv[1:])
