"""Orders of diffusers' schedulers: ``python experiments/diffusers_orders.py [--out FOLDER]`` (two minutes of one core).

From FOLDER/scheduler_orders.nc it writes docs/findings/diffusers-orders.md and docs/images/diffusers-orders.png.
"""

from pathlib import Path

from bdia_numerics.cli.experiment import main

DOCS = Path(__file__).resolve().parent.parent / "docs"
DRAWN = {
    "DDIMScheduler clip_sample=False": "DDIM",
    "DDIMScheduler": "DDIM, clip_sample=True",
    "UniPCMultistepScheduler solver_order=2 lower_order_final=False": "UniPC 2",
    "UniPCMultistepScheduler solver_order=2 lower_order_final=True": "UniPC 2, lower_order_final",
    "DPMSolverMultistepScheduler algorithm_type=dpmsolver++ solver_order=2 solver_type=midpoint": "DPM-Solver++ 2M",
}


def written(found):
    """Write the page and its figure."""
    from bdia_numerics.plots import image
    from bdia_numerics.plots.orders import convergence
    from bdia_numerics.studies.scheduler_orders import CASES, page, saved

    cases = {case.id: case for case in CASES}
    drawn = [(label, saved(found, cases[name])) for name, label in DRAWN.items()]
    (DOCS / "images/diffusers-orders.png").write_bytes(image(convergence(drawn), format="png"))
    (DOCS / "findings/diffusers-orders.md").write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main("scheduler_orders", written)
