"""The paper's figures by name: what draws each, from which saved data, and what it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from matplotlib.figure import Figure

from bdia_numerics.analysis.scheme import interlacing, scheme
from bdia_numerics.plots import gamma_map, network, orders, rounding, tables
from bdia_numerics.plots.scheme import interlaced, programs
from bdia_numerics.solvers import BDIA, CBDIA, DDIM, EDICT, OBELM


@dataclass(frozen=True)
class PaperFigure:
    """A figure of the paper, or what stands in its place here.

    Attributes
    ----------
    title
        A line.
    draw
        Takes the datasets in the order of `data`.
    data
        Names of files, without .nc.
    caption
        What it shows, in sentences.
    """

    title: str
    draw: Callable[..., Figure]
    data: tuple[str, ...]
    caption: str


_HALF = Fraction(1, 2)


def _interlaced() -> Figure:
    solvers: dict[str, Any] = {"DDIM": DDIM(), r"BDIA, $\gamma=1$": BDIA(1), r"BDIA, $\gamma=1/2$": BDIA(_HALF)}
    return interlaced([(label, interlacing(solver, slots=5)) for label, solver in solvers.items()])


def _programs() -> Figure:
    solvers: dict[str, Any] = {
        "DDIM": DDIM(), "BDIA\n$\\gamma=1$": BDIA(1), "BDIA\n$\\gamma=1/2$": BDIA(_HALF), "EDICT\n$p=0.93$": EDICT(),
        "CBDIA\n(0.95, 0.05)": CBDIA(), "O-BELM": OBELM(),
    }  # fmt: skip
    return programs([(label, scheme(solver)) for label, solver in solvers.items()])


FIGURES: dict[str, PaperFigure] = {
    "fig1-samples": PaperFigure(
        "Samples at ten time steps, by solver",
        network.samples,
        ("samples",),
        "Analogue of Fig. 1: samples at 10 time steps from the same noise, on the shipped network of MNIST digits "
        "(the paper: Stable Diffusion V2), on two grids. First row: the network's own ODE, solved on a fine grid, "
        "with the estimated error of that solution at its right. At the right of the others: root-mean-square distance to "
        "the first row, in units in which black to white is 2. EDICT makes two evaluations a step, the others one.",
    ),
    "fig2-returns": PaperFigure(
        "Images that went to noise and back",
        network.returns,
        ("returns",),
        "Analogue of Fig. 2: images of the shipped network that were sent to noise and back, without guidance. "
        "Left: the returned image. Right: its absolute difference from the source, white for 0 and black for a quarter of the range or "
        "more. At the right of each row: root-mean-square distance, in units in which black to white is 2. BDIA and EDICT return by their "
        "derived inverse; DDIM by (10), and by (23), in which the network is told the time of the state that it is given. "
        "Neither inverts DDIM exactly.",
    ),
    "fig3-interlaced": PaperFigure(
        "Forward and backward updates, interlaced",
        _interlaced,
        (),
        "Fig. 3, drawn from the program: which update stands for the integral over which slot, in each state. To "
        "the right: forward, taken at the slot's noise end; to the left: backward, taken at its data end; numbers "
        "are weights other than 1. At gamma = 1 neighbouring slots have opposite directions, as (32) says; for "
        "gamma < 1 each slot has the weighted mean of both, as (31) says.",
    ),
    "fig3-programs": PaperFigure(
        "Steps of six solvers, by the same function",
        _programs,
        (),
        "The recorded programs of six solvers, drawn by one function: one slot in full, the others faint. Dots are "
        "states (open: overwritten within the slot), diamonds evaluations of the model, full arrows states that "
        "enter, dashed ones evaluations. Numbers: weights of states other than 1, for alpha = 1; those of O-BELM "
        "depend on the steps. EDICT's second evaluation is told the time of the slot's beginning, as in (12).",
    ),
    "fig4-gamma-and-p": PaperFigure(
        "Round-trip editing by gamma and p",
        network.gamma_and_p,
        ("editing",),
        "Analogue of Fig. 4: round-trip editing with BDIA by gamma and with EDICT by p, 40 time steps, with and "
        "without guidance. Digits drawn by the shipped network are sent to noise under their own label and back "
        "under another; both stand above each column. At the right of each row: how many of ten images the shipped classifier "
        "reads as the digit that was wanted, and the root-mean-square distance to the source. The label takes the place of the "
        "prompt.",
    ),
    "fig5-ten-steps": PaperFigure(
        "Editing at ten time steps",
        network.edits,
        ("editing-ten-steps",),
        "In place of Fig. 5: editing at 10 time steps with DDIM, encoded by (10) and by (23), and with BDIA, gamma = 0.5. "
        "The paper guides Stable Diffusion by a ControlNet; there is none for this network, so its label alone says what "
        "is wanted. The numbers at the right are those of the figure before: images read as wanted, of ten, and distance to the source.",
    ),
    "fig6-editing": PaperFigure(
        "Round-trip editing by solver",
        network.editing,
        ("editing",),
        "Analogue of Fig. 6: round-trip editing by BDIA, EDICT and DDIM at 40 time steps and guidance 4, as in the "
        "paper. BDIA makes half as many evaluations as EDICT. Here DDIM by (10), which does not return exactly, turns as "
        "many digits and stays nearest to the source. At the right of each row: how many of ten images are read as the digit that was "
        "wanted, and the distance to the source.",
    ),
    "tables-1-2-3": PaperFigure(
        "Tables 1 to 3, published and here",
        tables.draw,
        ("network-table",),
        "Tables 1 to 3: left of the line the paper's FID; right of it what is measured here, on another data set and "
        "network (MNIST, 0.6 million parameters) and with another measure: the squared Frechet distance in the "
        "features of the shipped classifier, of 256 samples, which is not comparable with FID. Columns here are grids. Only "
        "comparisons within a column mean anything. In parentheses: the difference from DDIM, or from EDM in table 3, with its 95% "
        "interval, on the same resamples of the images. Bold: smaller than every number that it is compared with, by such intervals. "
        "The paper gives no intervals, so none of its numbers is bold.",
    ),
    "network-table": PaperFigure(
        "Quality of samples by solver and grid",
        network.bars,
        ("network-table",),
        "All solvers on the shipped network at equal numbers of evaluations: squared Frechet distance of 256 "
        "samples in the classifier's features, with 95% intervals. Smaller is better. Grey line: the distance of 256 training images.",
    ),
    "convergence": PaperFigure(
        "Errors against steps, and the orders they show",
        orders.of_study,
        ("convergence",),
        "Convergence on an exact flow (two Gaussians on the line, linear VP schedule from t = 0.6 to 0.1, steps "
        "equal in asinh(sigma/alpha), and the same with steps h, 2h in turn), first states exact. After each name: "
        "the observed order. Hollow marks are not used for it. BDIA with gamma = 1 falls from order 2 to "
        "order 1 on the alternating grid; CBDIA and BDIA-EDM do not.",
    ),
    "work-precision": PaperFigure(
        "Error against model evaluations and processor time",
        orders.work_precision,
        ("work-precision",),
        "Error at equal numbers of model evaluations, and against the solver's own processor time, on a grid "
        "uniform in t of the linear VP schedule down to t = 0.01 and the same exact flow.",
    ),
    "roundtrip": PaperFigure(
        "Both sides of a round trip",
        rounding.both_sides,
        ("roundtrip",),
        "Data to noise and back in float64 on a mixture of two Gaussians on the line, on a grid uniform in t: the error of the round "
        "trip (left), and the distance of the noise end from the exact state (right), which a round trip alone does not show. "
        "BDIA with gamma = 0.5 amplifies rounding by about 2 a step on the way to noise. DDIM goes to noise by (10), and by (23), in which "
        "the network is told the time of the state that it is given; the others by their derived inverse.",
    ),
    "stability": PaperFigure(
        "Regions of stability",
        rounding.regions,
        ("stability",),
        "Where numerical solutions of dy/ds = J y stay bounded, on equal steps h with alpha = 1, from the "
        "characteristic polynomial of the recorded program. BDIA's region shrinks with gamma from DDIM's disc to a "
        "line at gamma = 1; of the inverses, only that of BDIA at gamma = 1 is stable anywhere, on that line. EDICT's and CBDIA's are "
        "unstable everywhere: the product of their roots is constant and larger than 1.",
    ),
    "amplification": PaperFigure(
        "Rounding on a round trip, by gamma and dtype",
        rounding.by_gamma,
        ("precision",),
        "Error of BDIA's round trip from noise, by gamma, dtype and grid: marks are measured, lines predicted from "
        "the program. Rounding is amplified about gamma^-(N-1) times; above the grey line the error is larger than the state "
        "itself. A cross marks an overflow. Distribution: one Gaussian of variance 1.",
    ),
    "network-growth": PaperFigure(
        "Growth of perturbations on the shipped network",
        rounding.on_network,
        ("growth",),
        "The shipped network at 10 steps. Left: the largest growth of a perturbation over the run, measured by "
        "power iteration, and predicted by companion matrices with the network's slopes and with slope 0 (open: "
        "sampling; full: inverting). At so few steps EDICT's sampling magnifies a perturbation about 1,000 times, and "
        "BDIA's inverse at gamma = 1/2 about 3,000 times. Right: error of the noise that comes back, by the "
        "format of the states.",
    ),
    "gamma-map": PaperFigure(
        "Error over gamma, grid and steps",
        gamma_map.curves,
        ("map",),
        "Error of BDIA against gamma (0 is DDIM) on six grids and at four numbers of steps; a ring marks the best "
        "gamma of each grid. Three modes on the line, linear schedule of 1,000 steps. No gamma is best everywhere.",
    ),
    "gamma-best": PaperFigure(
        "Best gamma by grid and steps",
        gamma_map.table,
        ("map",),
        "From the same data: the best gamma among those run, by grid and number of steps, and how many times "
        "smaller its error is than DDIM's.",
    ),
    "gamma-last-slot": PaperFigure(
        "Why the best gamma depends on the last slot",
        gamma_map.last_slot,
        ("map-digits", "map-tight"),
        "At ten steps: quality of samples of handwritten digits with an exact score (Frechet distance of moments), "
        "and error for modes of width 0.003. The last slot of the leading grid is tiny, and there gamma near 1 is "
        "by far the worst; on the same grid without that slot it is the best for the narrow modes, and differs little from "
        "other gammas for the digits.",
    ),
    "encoding-laws": PaperFigure(
        "Latent errors by solver and grid, on exact distributions",
        network.latents,
        ("encode-laws",),
        "Encoding by 20 evaluations, starts paid: root-mean-square distance of the latents to those of the exact flow, with 95% intervals "
        "over five seeds of 16 states. Three distributions of two modes on the line: of middle width, tight and broad; the schedule of the "
        "shipped network. DPM-Solver++ has no step from clean data (crosses). ALF has the smallest errors on nearly "
        "every grid. On the grids of the angle and of flow matching O-BELM's latents are lost.",
    ),
    "encoding-laws-80": PaperFigure(
        "Latent errors by solver and grid, on exact distributions, at 80 evaluations",
        network.latents,
        ("encode-laws-80",),
        "The same with 80 evaluations. Methods of fourth order in the angle, composed steps of ALF and SymmetricMultistep, are the best on "
        "the two distributions without sharp modes; on the tight one no solver is surely better than ALF.",
    ),
    "encoding-network": PaperFigure(
        "Latent errors by solver and grid, on the shipped network",
        network.latents,
        ("encode-network",),
        "The same for the default of bdia encode-table: two exact distributions, and the shipped network of digits without guidance, five "
        "seeds of three images. Equal steps in log-SNR suit the network far better than the trailing grid.",
    ),
    "encoding-edits": PaperFigure(
        "Edits under strong guidance, and how far sampling magnifies a perturbation",
        network.edits_by_growth,
        ("encode-guided",),
        "Digits of the shipped network, encoded by 20 evaluations at guidance 4 and decoded under another label: part of 15 images that "
        "the classifier reads as wanted, against the largest growth of a perturbation on the way to data for a mode of variance 0.0001. "
        "Full: decoded from all registers by the same solver. Open: DDIM decodes z alone.",
    ),
    "misprints": PaperFigure(
        "Formulas of the paper, as printed and in their right form",
        orders.misprints,
        ("misprints",),
        "Formulas of the paper that can be run, as printed in our copy and in their right form: errors against steps, on a mixture of two "
        "Gaussians on the line, and for (4) on one Gaussian. (32), "
        "(43) and (44) may be faults of our copy. The printed form of (61) stops converging. That of (54) does no harm, "
        "because the two forms of its second step differ by a term of higher order.",
    ),
}
"""In the order in which they are shown."""
