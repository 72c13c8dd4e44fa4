"""Numbers and figure of docs/findings/network-growth.md: python experiments/network_growth.py [FOLDER OF A DIFFUSERS NETWORK]."""

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np

from bdia_numerics import plots
from bdia_numerics.plots.network_growth import network_growth
from bdia_numerics.torch.straying import straying

IMAGE = Path(__file__).resolve().parent.parent / "docs" / "images" / "network-growth.png"


def main(folder=None):
    """Print the numbers as JSON, and write the figure."""
    found = straying(folder, watch=partial(print, file=sys.stderr))
    print(json.dumps(found, default=lambda x: np.asarray(x).tolist()))
    IMAGE.write_bytes(plots.image(network_growth(found), format="png"))


if __name__ == "__main__":
    main(*sys.argv[1:])
