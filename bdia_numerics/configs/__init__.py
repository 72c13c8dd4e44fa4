"""Scheduler configurations of other libraries: what they say, and which slots a run with them takes."""

from __future__ import annotations

from bdia_numerics.configs.config import PREDICTIONS, SPACINGS, SchedulerConfig, from_mapping, read
from bdia_numerics.configs.families import FAMILIES, Family
from bdia_numerics.configs.tables import OutOfTableError, alphas_cumprod
from bdia_numerics.configs.walk import Walk, WalkStep, from_scheduler, layout
from bdia_numerics.spaces.values import share

__all__ = [
    "FAMILIES",
    "PREDICTIONS",
    "SPACINGS",
    "Family",
    "OutOfTableError",
    "SchedulerConfig",
    "Walk",
    "WalkStep",
    "alphas_cumprod",
    "from_mapping",
    "from_scheduler",
    "layout",
    "read",
]

share(*map(globals().get, __all__))
