"""Inversions of solvers whose step cannot be undone exactly: explicit, implicit, and those that keep something besides."""

from __future__ import annotations

from bdia_numerics.runs.inversion.choice import INVERSIONS, default_for, named, split
from bdia_numerics.runs.inversion.ddim import DDIMInversion, Method, mirrored, name_of
from bdia_numerics.runs.inversion.ddpm import EditFriendly, edit_friendly
from bdia_numerics.runs.inversion.guided import NullText, null_text
from bdia_numerics.runs.inversion.implicit import (
    CorrectedSolution,
    DefectCorrection,
    ImplicitInversion,
    ImplicitSolution,
    Unconverged,
)
from bdia_numerics.runs.inversion.reversed import Reversed
from bdia_numerics.spaces.values import share

__all__ = [
    "INVERSIONS",
    "CorrectedSolution",
    "DDIMInversion",
    "DefectCorrection",
    "EditFriendly",
    "ImplicitInversion",
    "ImplicitSolution",
    "Method",
    "NullText",
    "Reversed",
    "Unconverged",
    "default_for",
    "edit_friendly",
    "mirrored",
    "name_of",
    "named",
    "null_text",
    "split",
]

share(*map(globals().get, __all__))
