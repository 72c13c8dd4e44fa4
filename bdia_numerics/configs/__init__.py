"""Scheduler configurations of other libraries: what they say, and which slots a run with them takes."""

from __future__ import annotations

from bdia_numerics.configs.config import SchedulerConfig, from_mapping, read
from bdia_numerics.configs.layout import Layout, Step, layout
from bdia_numerics.configs.tables import alphas_cumprod
from bdia_numerics.values import share

__all__ = ["Layout", "SchedulerConfig", "Step", "alphas_cumprod", "from_mapping", "layout", "read"]

share(*map(globals().get, __all__))
