"""Studies: functions of a frozen configuration that return results as data; nothing is drawn or printed here."""

from __future__ import annotations

from bdia_numerics.studies.convergence import CONVERGENCE
from bdia_numerics.studies.engine.cluster import cluster
from bdia_numerics.studies.engine.journal import Task
from bdia_numerics.studies.engine.local import processes
from bdia_numerics.studies.engine.running import run, tasks
from bdia_numerics.studies.engine.saving import data_hash, load, save
from bdia_numerics.studies.engine.task import Outcome, Pool, serial
from bdia_numerics.studies.gamma_map import MAP
from bdia_numerics.studies.growth import GROWTH
from bdia_numerics.studies.network_editing import EDITING
from bdia_numerics.studies.network_images import RETURNS, SAMPLES
from bdia_numerics.studies.network_table import NETWORK_TABLE
from bdia_numerics.studies.precision import PRECISION
from bdia_numerics.studies.roundtrip import ROUNDTRIP
from bdia_numerics.studies.stability import STABILITY
from bdia_numerics.studies.study import Study, Variable
from bdia_numerics.studies.sweep import SWEEP
from bdia_numerics.studies.work_precision import WORK_PRECISION
from bdia_numerics.values import share

STUDIES: dict[str, Study] = {
    "convergence": CONVERGENCE,
    "roundtrip": ROUNDTRIP,
    "stability": STABILITY,
    "map": MAP,
    "sweep": SWEEP,
    "work_precision": WORK_PRECISION,
    "growth": GROWTH,
    "editing": EDITING,
    "network_table": NETWORK_TABLE,
    "samples": SAMPLES,
    "returns": RETURNS,
    "precision": PRECISION,
}
"""By name: what `bdia sweep --study NAME` runs."""

__all__ = [
    "STUDIES",
    "Outcome",
    "Pool",
    "Study",
    "Task",
    "Variable",
    "cluster",
    "data_hash",
    "load",
    "processes",
    "run",
    "save",
    "serial",
    "tasks",
]

share(*map(globals().get, __all__))
