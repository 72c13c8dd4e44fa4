"""Why gamma = 1 is best in one paper and worst in another: the figure and tables of docs/findings/best-gamma.md.

``python experiments/best_gamma.py`` writes docs/images/best-gamma.png and prints the numbers.
"""

from pathlib import Path

import numpy as np

from bdia_numerics.plots import image
from bdia_numerics.plots.gamma_map import last_slot
from bdia_numerics.studies.gamma_map import MapConfig, gamma_map

GRIDS = ("leading", "cut", "trailing", "quad")
GAMMAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
IMAGE = Path(__file__).resolve().parent.parent / "docs/images/best-gamma.png"


def main() -> None:
    """Run the two maps at 10 steps, draw them, print them."""
    digits = gamma_map(MapConfig("digits", grids=GRIDS, gammas=GAMMAS, steps=(10,)))
    tight = gamma_map(MapConfig("tight", grids=GRIDS, gammas=GAMMAS, steps=(10,)))
    IMAGE.write_bytes(image(last_slot(digits, tight), format="png"))
    for found, what in ((digits, "frechet"), (tight, "error")):
        print(found.config.law, what, GAMMAS)
        for grid in GRIDS:
            print(f"{grid:9s}", np.round([c.value(what) for c in found.at(grid, 10)], 3))


if __name__ == "__main__":
    main()
