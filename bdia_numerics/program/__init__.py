"""Step programs: one text per solver, from which its inverse, its counts, its formulas and its runs are derived."""

from __future__ import annotations

from bdia_numerics.program.identity import attributes as attributes, identity, remembered as remembered
from bdia_numerics.program.inverse import (
    Invertibility,
    NotInvertibleError,
    condition_of,
    end_without_inverse,
    inverse_run,
    invertibility,
    parameters,
    symbolised,
)
from bdia_numerics.program.latex import inverse_latex, latex, step_latex
from bdia_numerics.program.lattice import NotOnLatticeError, lattice_plan
from bdia_numerics.program.ops import (
    Evaluate as Evaluate,
    Held as Held,
    Op as Op,
    Parameter,
    Slot,
    Trace,
    checked as checked,
    interpret as interpret,
    rows as rows,
    weighted as weighted,
)
from bdia_numerics.program.plan import Call as Call, Instruction as Instruction, Plan, make_plan
from bdia_numerics.program.record import Evaluation, Form, Linear, Recorder, Register, Scratch, StaleFormError
from bdia_numerics.program.refusal import refusal, theirs as theirs
from bdia_numerics.program.structure import Solver, Structure, structure
from bdia_numerics.program.trace import Run, Segment, record_begin, record_run, record_start, record_step, record_steps
from bdia_numerics.spaces.values import share

__all__ = [
    "Evaluation",
    "Form",
    "Invertibility",
    "Linear",
    "NotInvertibleError",
    "NotOnLatticeError",
    "Parameter",
    "Plan",
    "Recorder",
    "Register",
    "Run",
    "Scratch",
    "Segment",
    "Slot",
    "Solver",
    "StaleFormError",
    "Structure",
    "Trace",
    "condition_of",
    "end_without_inverse",
    "identity",
    "inverse_latex",
    "inverse_run",
    "invertibility",
    "latex",
    "lattice_plan",
    "make_plan",
    "parameters",
    "record_begin",
    "record_run",
    "record_start",
    "record_step",
    "record_steps",
    "refusal",
    "step_latex",
    "structure",
    "symbolised",
]

share(Invertibility, Plan, Run, Segment, Slot, Structure)  # the handles of a recording are not values
