"""Fig. 3: which update stands for the integral over which slot, drawn from the recorded programs.

``python paper_figs/fig3.py`` writes fig3.pdf beside this file; `bdia figures --only fig3-interlaced` draws the same, with its caption.
"""

from fractions import Fraction
from pathlib import Path

from bdia_numerics import BDIA, DDIM
from bdia_numerics.analysis.scheme import interlacing
from bdia_numerics.plots import image
from bdia_numerics.plots.scheme import interlaced

HERE = Path(__file__).parent
SOLVERS = {"DDIM": DDIM(), r"BDIA, $\gamma=1$": BDIA(1), r"BDIA, $\gamma=1/2$": BDIA(Fraction(1, 2))}


def figure():
    """Draw the updates of five slots, a row a solver."""
    return interlaced([(label, interlacing(solver, slots=5)) for label, solver in SOLVERS.items()])


if __name__ == "__main__":
    (HERE / "fig3.pdf").write_bytes(image(figure(), format="pdf"))
