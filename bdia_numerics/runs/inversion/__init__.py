"""Inversions of solvers whose step cannot be undone exactly: explicit, implicit, and those that keep something besides."""

from __future__ import annotations

from bdia_numerics.runs.inversion.guided import EditFriendly, NullText, edit_friendly, null_text
from bdia_numerics.runs.inversion.implicit import (
    CorrectedSolution,
    DefectCorrection,
    ImplicitInversion,
    ImplicitSolution,
    Unconverged,
)
from bdia_numerics.runs.inversion.steps import (
    INVERSIONS,
    DDIMInversion,
    Method,
    Reversed,
    as_method,
    default_for,
    mirrored,
    name_of,
    named,
    split,
)
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
    "as_method",
    "default_for",
    "edit_friendly",
    "mirrored",
    "name_of",
    "named",
    "null_text",
    "split",
]

share(*map(globals().get, __all__))
