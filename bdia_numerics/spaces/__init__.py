"""Number systems: NumPy floats, integer lattices, mpmath, balls, fractions, symbols, and the formal model of the proofs.

The number system follows the data: `of` reads it off a value, and a run happens in the system of its states. What has no
faithful meaning in a system (an exponential of a fraction, a float inside an exact run) raises `TypeError`; nothing is
approximated silently.
"""

from __future__ import annotations

from bdia_numerics.spaces.balls import Balls
from bdia_numerics.spaces.base import (
    Number,
    Numbers,
    Scalar,
    Space,
    UndecidedError,
    admitted,
    is_float,
    kind_of,
    of,
    parameter,
    plain,
    register,
    same_system,
    vanishes,
)
from bdia_numerics.spaces.base import given as given
from bdia_numerics.spaces.base import is_broken as is_broken
from bdia_numerics.spaces.base import require_finite as require_finite
from bdia_numerics.spaces.base import require_system as require_system
from bdia_numerics.spaces.base import shaped as shaped
from bdia_numerics.spaces.floats import FLOAT32, FLOAT64, LONGDOUBLE, Numpy, named
from bdia_numerics.spaces.formal import Vector, formal_model
from bdia_numerics.spaces.jax_arrays import tree as tree
from bdia_numerics.spaces.lattice import Lattice, LatticeSpace, as_floats
from bdia_numerics.spaces.mean_value import MeanValue
from bdia_numerics.spaces.memory import HALF, Memory, read_stored, register_reader
from bdia_numerics.spaces.memory import Array as Array
from bdia_numerics.spaces.multiprecision import MPMath
from bdia_numerics.spaces.rationals import FRACTION, Rationals
from bdia_numerics.spaces.symbolic import SYMBOLS, Symbols
from bdia_numerics.spaces.values import share

__all__ = [
    "FLOAT32",
    "FLOAT64",
    "FRACTION",
    "HALF",
    "LONGDOUBLE",
    "SYMBOLS",
    "Balls",
    "Lattice",
    "LatticeSpace",
    "MPMath",
    "MeanValue",
    "Memory",
    "Number",
    "Numbers",
    "Numpy",
    "Rationals",
    "Scalar",
    "Space",
    "Symbols",
    "UndecidedError",
    "Vector",
    "admitted",
    "as_floats",
    "formal_model",
    "is_float",
    "kind_of",
    "named",
    "of",
    "parameter",
    "plain",
    "read_stored",
    "register",
    "register_reader",
    "same_system",
    "vanishes",
]

__dir__ = __all__.copy  # what completion shows
share(Balls, Lattice, LatticeSpace, MPMath, Numpy, Rationals, Symbols)  # the others are numbers, compared as such
