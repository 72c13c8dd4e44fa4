"""The generated part of the Coq development: Steps.v, printed from the solvers."""

from __future__ import annotations

from typing import Any

from bdia_numerics.claims.coq.printer import (
    delta_definition,
    increments_definition,
    inverse_definition,
    step_definition,
)
from bdia_numerics.solvers import BDIA, CBDIA, DDIM, EDICT

_HEAD = """(** The steps of the solvers and their derived inverses, printed from the step programs that run.

    Written by `python experiments/coq_steps.py`; a test compares. Indices: the slot of step k goes from t_(k+1) to t_k. *)

From BDIA Require Import Algebra.

"""


def steps(*, ddim: Any = DDIM, bdia: Any = BDIA, edict: Any = EDICT, cbdia: Any = CBDIA) -> str:
    """Return the text of Steps.v.

    Parameters
    ----------
    ddim, bdia, edict, cbdia
        Solver classes, or functions that make a solver without arguments.

    Raises
    ------
    CheckFailed, NotInvertibleError
        If a step cannot be printed for every slot, or has no derived inverse.
    """
    definitions = [delta_definition("ddim_delta"), step_definition("ddim_step", ddim())]
    definitions.append(increments_definition("ddim_step_by", ddim()))
    for name, solver in (("bdia", bdia()), ("edict", edict()), ("cbdia", cbdia())):
        definitions += [step_definition(f"{name}_step", solver), inverse_definition(f"{name}_undo", solver)]
    definitions += [increments_definition("bdia_step_by", bdia()), increments_definition("cbdia_step_by", cbdia())]
    return "\n\n".join([_HEAD, *definitions]) + "\n"
