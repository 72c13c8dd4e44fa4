"""Orders of diffusers' schedulers: each is driven as a pipeline drives it, on a law with an exact flow, and its order is observed.

``python experiments/diffusers_orders.py [--out FOLDER]`` (two minutes of one core) prints them and draws FOLDER/diffusers-orders.png;
`bdia pages diffusers-orders --recompute` writes docs/findings/diffusers-orders.md.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import cache

import diffusers
from output import folder, keep

from bdia_numerics.plots.orders import convergence
from bdia_numerics.testing import order_of

THIRDS = (12, 18, 24, 36, 48, 72, 96, 144, 192, 288, 384, 576, 768)
"""Numbers of steps that single-step methods of third order divide."""
EULER_START = "the first step is DDIM: its error, once, is O(h²)"
START = "the first steps are of lower order: their error, once, is O(h²)"
LAST = "lower_order_final, the default, makes the last step DDIM: its error, once, is O(h²)"


@dataclass(frozen=True)
class Case:
    """A scheduler with the options that matter.

    Attributes
    ----------
    name, options
        Its class without "Scheduler", and what is passed to it.
    claimed
        Order that its documentation or its publication gives it.
    remark
        Why it is another one.
    expected
        The order that a test holds it to, as claimed by default; None where the uncertainty band is too wide for one.
    steps, max_steps
        Numbers of steps, chosen up to the latter if none are given.
    """

    name: str
    options: dict[str, object] = field(default_factory=dict)
    claimed: int = 1
    remark: str = ""
    expected: int | None = -1
    steps: tuple[int, ...] | None = None
    max_steps: int = 512

    @property
    def order(self):
        """The order that a test holds it to."""
        return self.claimed if self.expected == -1 else self.expected

    @property
    def shown(self):
        """Options, as the page has them."""
        return ", ".join(f"{key}={value}" for key, value in self.options.items())


def cases():
    """Yield the rows of the page."""
    yield Case("DDIM", {"clip_sample": False})
    yield Case("DDIM", remark="clip_sample=True is the default; the distribution leaves [-1, 1]", expected=0)
    yield Case("DDIMInverse", {"clip_sample": False}, remark="data to noise")
    yield Case("EulerDiscrete")
    yield Case("HeunDiscrete", claimed=2)
    drift = "no single order up to 1024 steps: slopes from 2.0 to 2.9"
    yield Case("KDPM2Discrete", {}, 2, drift, None, max_steps=1024)
    yield Case("LMSDiscrete", {}, 4, EULER_START, None, max_steps=1024)
    yield Case("PNDM", {}, 4, START, 2, max_steps=1024)
    yield Case("PNDM", {"skip_prk_steps": True}, 4, START, 2, max_steps=1024)
    for kind in ("dpmsolver++", "dpmsolver"):
        multi = {"algorithm_type": kind, "solver_order": 2, "solver_type": "midpoint"}
        yield Case("DPMSolverMultistep", multi | {"solver_order": 1}, 1)
        yield Case("DPMSolverMultistep", multi, 2)
        yield Case("DPMSolverMultistep", multi | {"solver_type": "heun"}, 2)
        third = 2 if kind == "dpmsolver++" else None
        yield Case("DPMSolverMultistep", multi | {"solver_order": 3}, 3, EULER_START, third, max_steps=1024)
        for order in (1, 2, 3):
            for final in (True, False)[: 1 if order == 1 else 2]:
                single = {"algorithm_type": kind, "solver_order": order, "lower_order_final": final}
                low, steps = order == 3 and final, THIRDS if order == 3 else None
                yield Case("DPMSolverSinglestep", single, order, LAST if low else "", 2 if low else order, steps)
    falls = EULER_START + "; slopes fall from 2.98 to 2.34 by 1024 steps"
    yield Case("DEISMultistep", {"solver_order": 1}, 1, max_steps=1024)
    yield Case("DEISMultistep", {"solver_order": 2}, 2, max_steps=1024)
    yield Case("DEISMultistep", {"solver_order": 3}, 3, falls, None, max_steps=1024)
    for order in (1, 2, 3):
        for final in (True, False):
            unipc, low = {"solver_order": order, "lower_order_final": final}, final and order > 1
            remark = LAST if low else "predictor and corrector" if order == 1 else ""
            expected = 2 if low else None if order == 3 else order + 1
            yield Case("UniPCMultistep", unipc, order + 1, remark, expected, max_steps=1024)
    yield Case("EDMEuler")
    yield Case("EDMDPMSolverMultistep", claimed=2)
    yield Case("FlowMatchEulerDiscrete", max_steps=1024)
    yield Case("FlowMatchEulerDiscrete", {"shift": 3.0}, max_steps=1024)
    yield Case("FlowMatchHeunDiscrete", claimed=2)


def made(case):
    """Return the scheduler of a case."""
    # The constructors of DPM-Solver refuse the exponential forms with a last level of 0.
    ends = {"final_sigmas_type": "sigma_min"} if case.name.startswith("DPM") else {}
    return getattr(diffusers, f"{case.name}Scheduler")(**ends | case.options)


def measured(case):
    """Return the observed order of a case."""
    options = {"states": 8, "steps": case.steps, "max_steps": case.max_steps}
    if case.name != "DDIMInverse":
        return order_of(made(case), **options)
    return order_of(made(Case("DDIM", case.options)), invert=made(case), direction="invert", **options)


def row(case, found):
    """Return the row of a case in the page's table."""
    order = f"{found.order:.2f}" if found.decided else f"({found.order:.2f})"
    band = f"{found.low:.2f} to {found.high:.2f}"
    return f"| {case.name} | {case.shown} | {case.claimed} | {order} | {band} | {case.remark} |"


DRAWN = {
    ("DDIM", "clip_sample=False"): "DDIM",
    ("DDIM", ""): "DDIM, clip_sample=True",
    ("UniPCMultistep", "solver_order=2, lower_order_final=False"): "UniPC 2",
    ("UniPCMultistep", "solver_order=2, lower_order_final=True"): "UniPC 2, lower_order_final",
    ("DPMSolverMultistep", "algorithm_type=dpmsolver++, solver_order=2, solver_type=midpoint"): "DPM-Solver++ 2M",
}


@cache
def study():
    """Return the observed order of every case, by its name and options."""
    warnings.simplefilter("ignore")  # of NumPy on tensors, and of deprecated options
    return {(case.name, case.shown): measured(case) for case in cases()}


def table():
    """Return the table of what `study` finds, without its head, in Markdown."""
    return "\n".join(row(case, study()[case.name, case.shown]) for case in cases())


def figure():
    """Draw the errors of five of the schedulers against steps."""
    return convergence([(label, study()[key]) for key, label in DRAWN.items()])


FIGURES = {"diffusers-orders": figure}

if __name__ == "__main__":
    out = folder(__doc__)
    print(table())
    keep(out, "diffusers-orders", figure())
