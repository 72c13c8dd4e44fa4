"""Fig. 1: samples at ten time steps from the same noise, by solver, on the shipped network of digits.

``python paper_figs/fig1.py`` writes fig1.pdf beside this file; `bdia figures --only fig1-samples` draws the same, with its caption.
"""

from pathlib import Path

from bdia_numerics.plots import image
from bdia_numerics.plots.network import samples
from bdia_numerics.studies import load

HERE = Path(__file__).parent

if __name__ == "__main__":
    found = load(HERE / "data" / "samples.nc")  # images by solver, grid and steps
    (HERE / "fig1.pdf").write_bytes(image(samples(found), format="pdf"))
