"""What orders the schedulers of diffusers have, on exact scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bdia_numerics.analysis import ObservedOrder
from bdia_numerics.studies.configuration import among
from bdia_numerics.studies.convergence import VARIABLES, columns, ladder, observed
from bdia_numerics.studies.study import Cell, Study, Variable
from bdia_numerics.testing import order_of

if TYPE_CHECKING:
    from xarray import Dataset

STATES = 8
THIRDS = (12, 18, 24, 36, 48, 72, 96, 144, 192, 288, 384, 576, 768)
"""Numbers of steps that single-step methods of third order divide."""


@dataclass(frozen=True)
class Case:
    """A scheduler with the options that matter.

    Attributes
    ----------
    name
        Its class.
    options
        What is passed to it.
    claimed
        Order that its documentation or its publication gives it; None where there is none to hold it to.
    remark
        Why it is another one.
    expected
        The order that a test holds it to; as claimed by default.
    decided
        Whether the interval is narrow enough to hold it to an order at all.
    quick
        Whether the default tests run it.
    steps, max_steps
        Numbers of steps, chosen up to the latter if none are given.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    claimed: float | None = 1
    remark: str = ""
    expected: float | None = None
    decided: bool = True
    quick: bool = False
    steps: tuple[int, ...] | None = None
    max_steps: int = 512

    @property
    def order(self) -> float:
        """The order that a test holds it to."""
        return float(self.claimed or 0) if self.expected is None else self.expected

    @property
    def id(self) -> str:
        """Name and options."""
        return " ".join([self.name, *(f"{key}={value}" for key, value in self.options.items())])


_MULTI, _SINGLE, _UNIPC = "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "UniPCMultistepScheduler"
_EULER_START = "the first step is DDIM: its error, once, is O(h²)"
_START = "the first steps are of lower order: their error, once, is O(h²)"
_LAST = "lower_order_final, the default, makes the last step DDIM: its error, once, is O(h²)"


def _cases() -> Iterator[Case]:
    yield Case("DDIMScheduler", {"clip_sample": False}, quick=True)
    yield Case(
        "DDIMScheduler", {}, remark="clip_sample=True is the default; the law leaves [-1, 1]", expected=0, quick=True
    )
    yield Case("DDIMInverseScheduler", {"clip_sample": False}, remark="data to noise")
    yield Case("EulerDiscreteScheduler")
    yield Case("HeunDiscreteScheduler", claimed=2, quick=True)
    yield Case(
        "KDPM2DiscreteScheduler",
        claimed=2,
        remark="no single order up to 1024 steps: slopes from 2.0 to 2.9",
        decided=False,
        max_steps=1024,
    )
    yield Case("LMSDiscreteScheduler", claimed=4, remark=_EULER_START, expected=2, decided=False, max_steps=1024)
    yield Case(
        "PNDMScheduler",
        {},
        4,
        remark="the first steps are of lower order: their error, once, is O(h²)",
        expected=2,
        max_steps=1024,
    )
    yield Case("PNDMScheduler", {"skip_prk_steps": True}, 4, remark=_START, expected=2, max_steps=1024)
    for kind in ("dpmsolver++", "dpmsolver"):
        for order in (1, 2, 3):
            for form in ("midpoint", "heun")[: 1 if order != 2 else 2]:
                options = {"algorithm_type": kind, "solver_order": order, "solver_type": form}
                yield Case(
                    _MULTI,
                    options,
                    order,
                    remark=_EULER_START if order == 3 else "",
                    expected=min(order, 2),
                    quick=kind == "dpmsolver++" and order == 2,
                    decided=order < 3 or kind == "dpmsolver++",
                    max_steps=1024 if order == 3 else 512,
                )
        for order in (1, 2, 3):
            for final in (True, False)[: 1 if order == 1 else 2]:
                options = {"algorithm_type": kind, "solver_order": order, "lower_order_final": final}
                steps = THIRDS if order == 3 else None
                ends_low = order == 3 and final
                yield Case(_SINGLE, options, order, _LAST if ends_low else "", 2 if ends_low else order, steps=steps)
    for order in (1, 2, 3):
        remark = _EULER_START + "; slopes fall from 2.98 to 2.34 by 1024 steps" if order == 3 else ""
        yield Case("DEISMultistepScheduler", {"solver_order": order}, order, remark, decided=order < 3, max_steps=1024)
    for order in (1, 2, 3):
        for final in (True, False):
            options = {"solver_order": order, "lower_order_final": final}
            ends_low = final and order > 1
            remark = _LAST if ends_low else "predictor and corrector" if order == 1 else ""
            expected = 2 if ends_low else order + 1
            yield Case(
                _UNIPC,
                options,
                order + 1,
                remark,
                expected,
                quick=order == 2,
                decided=order < 3 or final,
                max_steps=1024,
            )
    yield Case("EDMEulerScheduler")
    yield Case("EDMDPMSolverMultistepScheduler", claimed=2)
    yield Case("FlowMatchEulerDiscreteScheduler", max_steps=1024)
    yield Case("FlowMatchEulerDiscreteScheduler", {"shift": 3.0}, max_steps=1024)
    yield Case("FlowMatchHeunDiscreteScheduler", claimed=2)


CASES = tuple(_cases())
_BY_ID = {case.id: case for case in CASES}


def made(case: Case) -> Any:
    """Return the scheduler of a case."""
    import importlib

    return getattr(importlib.import_module("diffusers"), case.name)(**_ends(case.name) | case.options)


def _ends(name: str) -> dict[str, Any]:
    # Their constructors refuse the exponential forms with a last level of 0.
    return {"final_sigmas_type": "sigma_min"} if name.startswith("DPM") else {}


def measured(case: Case, max_steps: int | None = None) -> ObservedOrder:
    """Return the observed order of a case."""
    scheduler = made(case)
    options: dict[str, Any] = {"states": STATES, "steps": case.steps, "max_steps": max_steps or case.max_steps}
    if case.name == "DDIMInverseScheduler":
        sampler = made(Case("DDIMScheduler", case.options))
        return order_of(sampler, invert=scheduler, direction="invert", **options)
    return order_of(scheduler, **options)


_HEAD = """# Orders of diffusers' schedulers

Every scheduler is driven as a pipeline drives it, by `set_timesteps` and `step`, on the exact prediction of a
mixture of two Gaussians on the line,
and compared with the exact flow. It is made anew with its own options on tables that are uniform in
asinh(sigma/alpha), from 6 to 0.35 (to 0 where
it cannot end elsewhere), in float64; flow matching and EDM keep their rules. The order is that of a whole run, start and end included.
An order in parentheses is undecided: the slopes drift, or the uncertainty band is wider than a half. diffusers VERSION. Written by
`python experiments/diffusers_orders.py`; `bdia_numerics.testing.assert_order` measures yours.

![Errors against steps of five of the schedulers](../images/diffusers-orders.png)

"""
_FOOT = """

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


def page(found: Dataset) -> str:
    """Return the page in Markdown, from the dataset of the study."""
    from importlib.metadata import version

    rows = [(case, saved(found, case)) for case in CASES]
    return _HEAD.replace("VERSION", version("diffusers")) + table(rows) + _FOOT


def table(rows: Iterable[tuple[Case, ObservedOrder]]) -> str:
    """Return the table of the page in Markdown."""
    lines = ["| scheduler | options | claimed | observed | band | remark |", "|---|---|---|---|---|---|"]
    for case, found in rows:
        options = ", ".join(f"{key}={value}" for key, value in case.options.items())
        order = f"{found.order:.2f}" if found.decided else f"({found.order:.2f})"
        interval = f"{found.low:.2f} to {found.high:.2f}"
        claimed = "" if case.claimed is None else f"{case.claimed:g}"
        lines.append(
            f"| {case.name.removesuffix('Scheduler')} | {options} | {claimed} | {order} | {interval} | {case.remark} |"
        )
    return "\n".join(lines)


@dataclass(frozen=True)
class SchedulersConfig:
    """What to run; by default two minutes of one core. Needs the extra `torch`.

    Attributes
    ----------
    schedulers
        Ids of `CASES`: a class and its options.
    max_steps
        Where numbers of steps end; 0 for what each case has.
    """

    schedulers: tuple[str, ...] = tuple(case.id for case in CASES)
    max_steps: int = 0

    def __post_init__(self) -> None:
        among(self, schedulers=_BY_ID)


def _steps(config: SchedulersConfig) -> tuple[int, ...]:
    chosen = [_BY_ID[name] for name in config.schedulers]
    return tuple(sorted({n for case in chosen for n in ladder(case.steps or (), config.max_steps or case.max_steps)}))


def compute(config: SchedulersConfig, cell: Cell) -> Mapping[str, Any]:
    """Return the observed order of a scheduler beside the claimed one."""
    case = _BY_ID[str(cell["scheduler"])]
    claimed = float("nan") if case.claimed is None else float(case.claimed)
    return columns(measured(case, config.max_steps or None), _steps(config)) | {"claimed": claimed}


def saved(found: Dataset, case: Case) -> ObservedOrder:
    """Return the observed order of a case from the dataset of the study."""
    return observed(found.sel(scheduler=case.id), solver=case.name, family="smooth in asinh")


SCHEDULERS = Study(
    "scheduler_orders",
    "Observed orders of diffusers' schedulers",
    SchedulersConfig,
    dims=lambda config: {"scheduler": config.schedulers},
    inner=lambda config: {"steps": _steps(config)},
    compute=compute,
    variables={**VARIABLES, "claimed": Variable("order that its documentation or publication gives it")},
)
