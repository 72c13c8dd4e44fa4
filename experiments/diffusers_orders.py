"""Orders of diffusers' schedulers: ``python experiments/diffusers_orders.py`` (two minutes of one core).

Each scheduler is driven as a pipeline drives it, on a law with an exact flow, and its order is observed. This writes
docs/findings/diffusers-orders.md and docs/images/diffusers-orders.png.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import diffusers

from bdia_numerics.plots import image
from bdia_numerics.plots.orders import convergence
from bdia_numerics.testing import order_of

DOCS = Path(__file__).resolve().parent.parent / "docs"
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
HEAD = """# Orders of diffusers' schedulers

Every scheduler is driven as a pipeline drives it, by `set_timesteps` and `step`, on the exact prediction of a
mixture of two Gaussians on the line,
and compared with the exact flow. It is made anew with its own options on tables that are uniform in
asinh(sigma/alpha), from 6 to 0.35 (to 0 where
it cannot end elsewhere), in float64; flow matching and EDM keep their rules. The order is that of a whole run, start and end included.
An order in parentheses is undecided: the slopes drift, or the uncertainty band is wider than a half. diffusers VERSION. Written by
`python experiments/diffusers_orders.py`; `bdia_numerics.testing.assert_order` measures yours.

![Errors against steps of five of the schedulers](../images/diffusers-orders.png)

| scheduler | options | claimed | observed | band | remark |
|---|---|---|---|---|---|
"""
FOOT = """

What the table says:

- **The methods with an option for the order have it, where nothing else is of lower order.** UniPC of order 2
  and 3 and single-step DPM-Solver of order 3
  lose it to one step: `lower_order_final=True`, the default, makes the last step first-order, and its error of O(h²)
  is the whole run's. With
  `lower_order_final=False` they have order 3, 4 and 3.
- **Multistep methods of order 3 and 4 (DPM-Solver, LMS, PNDM) run at order 2**, because their first states come from steps of
  lower order. At few steps the higher order still shows in the slopes and in the error; it is the limit that is 2.
  That the start is the cause is read from their code; that the last step is, was tested by switching the option.
- **UniPC is one order above its `solver_order`**, as its publication says: the corrector adds one.
- **DDIMScheduler's default does not converge** where the data leave [-1, 1]: `clip_sample=True`. Latents do leave it.
"""


def main():
    """Measure the cases, and write the page and its figure."""
    warnings.simplefilter("ignore")  # of NumPy on tensors, and of deprecated options
    found = {}
    for case in cases():
        found[case.name, case.shown] = measured(case)
        print(row(case, found[case.name, case.shown]), flush=True)
    drawn = [(label, found[key]) for key, label in DRAWN.items()]
    (DOCS / "images/diffusers-orders.png").write_bytes(image(convergence(drawn), format="png"))
    rows = "\n".join(row(case, found[case.name, case.shown]) for case in cases())
    page = HEAD.replace("VERSION", version("diffusers")) + rows + FOOT
    (DOCS / "findings/diffusers-orders.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
