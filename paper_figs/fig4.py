"""Fig. 4: round-trip editing by BDIA's gamma and EDICT's p.

``python paper_figs/fig4.py`` writes fig4.pdf beside this file; `bdia figures --only fig4-gamma-and-p` draws the same, with its caption.
"""

from pathlib import Path

from bdia_numerics.plots import image
from bdia_numerics.plots.network import gamma_and_p
from bdia_numerics.studies import load

HERE = Path(__file__).parent

if __name__ == "__main__":
    found = load(HERE / "data" / "editing.nc")  # edited images by guidance and solver
    (HERE / "fig4.pdf").write_bytes(image(gamma_and_p(found), format="pdf"))
