"""Fig. 2: images that went to noise and back, and how far they are from their sources.

``python paper_figs/fig2.py`` writes fig2.pdf beside this file; `bdia figures --only fig2-returns` draws the same, with its caption.
"""

from pathlib import Path

from bdia_numerics.plots import image
from bdia_numerics.plots.network import returns
from bdia_numerics.studies import load

HERE = Path(__file__).parent

if __name__ == "__main__":
    found = load(HERE / "data" / "returns.nc")  # images by solver, grid and steps, the sources as the first solver
    (HERE / "fig2.pdf").write_bytes(image(returns(found), format="pdf"))
