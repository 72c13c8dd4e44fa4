"""Drop-in schedulers for diffusers' pipelines, each a step program fed one model output at a time, and their inverse directions.

pipe.scheduler = BDIAScheduler.from_config(pipe.scheduler.config, gamma=1.0)

A pipeline that was saved with one of them is loaded by `DiffusionPipeline.from_pretrained` once this module is imported.
`docs/diffusers.md` shows sampling, encoding and exact round trips through pipelines.
"""

from __future__ import annotations

from typing import Any, ClassVar

try:
    from diffusers.schedulers.scheduling_utils import SchedulerMixin
except ModuleNotFoundError as error:
    raise ImportError(f"schedulers need {error.name}: pip install 'bdia_numerics[torch]'", name=error.name) from None

from bdia_numerics import names
from bdia_numerics.program import Solver
from bdia_numerics.solvers import BDIA, CBDIA, EDICT, OBELM
from bdia_numerics.texts import shown
from bdia_numerics.torch.schedulers.base import ProgramScheduler

__all__ = [
    "BDIAInverseScheduler",
    "BDIAScheduler",
    "CBDIAInverseScheduler",
    "CBDIAScheduler",
    "EDICTInverseScheduler",
    "EDICTScheduler",
    "OBELMInverseScheduler",
    "OBELMScheduler",
    "ProgramScheduler",
    "SchedulerMixin",  # diffusers looks for it here to tell that a saved part of a pipeline is a scheduler
    "SolverInverseScheduler",
    "SolverScheduler",
]


class BDIAScheduler(ProgramScheduler):
    """BDIA-DDIM: one model output a slot, the first of them for the starting DDIM step.

    Parameters
    ----------
    gamma : float
        In [0, 1]; 0 is DDIMScheduler, in which steps may be made in any order, from any timestep, and with eta.
    **options
        Entries of DDIMScheduler's configuration; with `counts_as` those of that class.

    Raises
    ------
    TypeError, ValueError
        For an entry that is not one, and for values that the class does not take.

    Examples
    --------
    >>> from bdia_numerics.torch.schedulers import BDIAScheduler
    >>> BDIAScheduler(gamma=0.9).solver
    BDIA(gamma=0.9, allow_any=False)
    """

    own: ClassVar[dict[str, Any]] = {"gamma": 1.0}

    def make_solver(self) -> Solver:
        """Return BDIA."""
        return BDIA(self.config["gamma"])


class BDIAInverseScheduler(BDIAScheduler):
    """The exact inverse of BDIAScheduler; from data alone it begins with a DDIM step towards the noise. gamma != 0."""

    noise_end = True


class EDICTScheduler(ProgramScheduler):
    """EDICT: two model outputs a slot, at the two states in turn, so that every timestep occurs twice.

    p : float
        Mixing weight in [0, 1]; invertible for p != 0.
    shifted, exchange : bool
        As for the solver EDICT.
    """

    own: ClassVar[dict[str, Any]] = {"p": 0.93, "shifted": False, "exchange": False}

    def make_solver(self) -> Solver:
        """Return EDICT."""
        return EDICT(self.config["p"], self.config["shifted"], self.config["exchange"])


class EDICTInverseScheduler(EDICTScheduler):
    """The exact inverse of EDICTScheduler; from data alone both states begin as the data. p != 0."""

    noise_end = True


class CBDIAScheduler(ProgramScheduler):
    """CBDIA-DDIM: two model outputs a slot, one for gamma2 = 1.

    gamma1, gamma2 : float
        In [0, 1]; invertible where they differ.
    """

    own: ClassVar[dict[str, Any]] = {"gamma1": 0.95, "gamma2": 0.05}

    def make_solver(self) -> Solver:
        """Return CBDIA."""
        return CBDIA(self.config["gamma1"], self.config["gamma2"])


class CBDIAInverseScheduler(CBDIAScheduler):
    """The exact inverse of CBDIAScheduler; from data alone both states begin as the data. gamma1 != gamma2."""

    noise_end = True


class OBELMScheduler(ProgramScheduler):
    """O-BELM: one model output a slot, the first of them for the starting DDIM step."""

    def make_solver(self) -> Solver:
        """Return OBELM."""
        return OBELM()


class OBELMInverseScheduler(OBELMScheduler):
    """The exact inverse of OBELMScheduler; from data alone it begins with a DDIM step towards the noise."""

    noise_end = True


class SolverScheduler(ProgramScheduler):
    """Any solver of the package, or a third party's.

    Parameters
    ----------
    solver_spec : str
        As on the command line: "dpmsolverpp", "mccallumfoster:coupling=99/100", "my_module:MySolver".
    **options
        Entries of DDIMScheduler's configuration; with `counts_as` those of that class.

    Raises
    ------
    TypeError, ValueError
        For an entry that is not one, and for values that the class does not take.

    Examples
    --------
    >>> from bdia_numerics.torch.schedulers import SolverScheduler
    >>> SolverScheduler(solver_spec="mccallumfoster:coupling=99/100").solver.coupling
    Fraction(99, 100)
    """

    own: ClassVar[dict[str, Any]] = {"solver_spec": "ddim"}

    def make_solver(self) -> Solver:
        """Return the solver that `solver_spec` names."""
        text = self.config["solver_spec"]
        if not isinstance(text, str):
            raise TypeError(
                f"solver_spec={shown(text)} is not text: pass a name such as 'bdia:gamma=9/10', or 'my_module:MySolver'"
            )
        return names.solver(text)


class SolverInverseScheduler(SolverScheduler):
    """The exact inverse of SolverScheduler, for solvers that have one."""

    noise_end = True
