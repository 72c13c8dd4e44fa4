"""In place of Fig. 5: editing at ten time steps.

``python paper_figs/fig5.py`` writes fig5.pdf beside this file; `bdia figures --only fig5-ten-steps` draws the same, with its caption.
"""

from pathlib import Path

from bdia_numerics.plots import image
from bdia_numerics.plots.network import edits
from bdia_numerics.studies import load

HERE = Path(__file__).parent

if __name__ == "__main__":
    found = load(HERE / "data" / "editing-ten-steps.nc")  # edited images by guidance and solver
    (HERE / "fig5.pdf").write_bytes(image(edits(found), format="pdf"))
