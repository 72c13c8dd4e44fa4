"""Measure diffusers' schedulers and write docs/findings/diffusers-orders.md: ``python experiments/diffusers_orders.py`` (two minutes).

With ``--figure`` only the page's figure, docs/images/diffusers-orders.png, is made (half a minute).
"""

import sys
from pathlib import Path

from bdia_numerics.plots import image
from bdia_numerics.plots.orders import convergence
from bdia_numerics.studies.scheduler_orders import CASES, measured, page

DOCS = Path(__file__).resolve().parent.parent / "docs"
DRAWN = {
    "DDIMScheduler clip_sample=False": "DDIM",
    "DDIMScheduler": "DDIM, clip_sample=True",
    "UniPCMultistepScheduler solver_order=2 lower_order_final=False": "UniPC 2",
    "UniPCMultistepScheduler solver_order=2 lower_order_final=True": "UniPC 2, lower_order_final",
    "DPMSolverMultistepScheduler algorithm_type=dpmsolver++ solver_order=2 solver_type=midpoint": "DPM-Solver++ 2M",
}


def figure() -> None:
    """Draw five of the cases, up to 256 steps."""
    cases = {case.id: case for case in CASES}
    found = [(label, measured(cases[name], 256)) for name, label in DRAWN.items()]
    (DOCS / "images/diffusers-orders.png").write_bytes(image(convergence(found), format="png"))


if __name__ == "__main__":
    figure()
    if "--figure" not in sys.argv[1:]:
        path = DOCS / "findings/diffusers-orders.md"
        path.write_text(page(), encoding="utf-8")
        print(path)
