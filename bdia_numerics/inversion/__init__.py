"""Inversions of solvers whose step cannot be undone exactly: explicit, implicit, and those that keep something besides."""

from __future__ import annotations

from bdia_numerics.inversion.ddim import DDIMInversion, Method, mirrored
from bdia_numerics.inversion.ddpm import EditFriendly, edit_friendly
from bdia_numerics.inversion.defect_correction import CorrectedSolution, DefectCorrection
from bdia_numerics.inversion.fixed_point import Unconverged
from bdia_numerics.inversion.guided import NullText, null_text
from bdia_numerics.inversion.implicit import ImplicitInversion, ImplicitSolution
from bdia_numerics.values import share

__all__ = [
    "CorrectedSolution",
    "DDIMInversion",
    "DefectCorrection",
    "EditFriendly",
    "ImplicitInversion",
    "ImplicitSolution",
    "Method",
    "NullText",
    "Unconverged",
    "edit_friendly",
    "mirrored",
    "null_text",
]

share(*map(globals().get, __all__))
