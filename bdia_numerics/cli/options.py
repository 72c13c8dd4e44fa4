"""Options that several commands take, each said once."""

from __future__ import annotations

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]

Inversion = Annotated[
    str,
    typer.Option(
        help="How to go from data to noise: default; (10) or (23), DDIM inversion whose network is told the time to which a step leads, or "
        "that of its state; or reversed, the solver on the reversed grid."
    ),
]
Grids = Annotated[str, typer.Option(help="smooth, alternating, random: several with commas.")]
ScheduleName = Annotated[str, typer.Option(help="vp_linear, vp_cosine, edm, ve or flow.")]
Variable = Annotated[str, typer.Option(help="Variable in which the grids are made: asinh, sigma_bar, log_snr or t.")]
NoiseEnd = Annotated[str, typer.Option(help="Noise end of the grids.")]
DataEnd = Annotated[str, typer.Option(help="Data end of the grids.")]

Guidance = Annotated[float, typer.Option(help="Scale of classifier-free guidance; 1 is none.")]
TrustPickle = Annotated[bool, typer.Option("--trust-pickle", help="Open a pickle, which runs the code in it.")]
