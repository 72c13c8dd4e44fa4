"""Number systems: NumPy floats, integer lattices, mpmath, balls, fractions, symbols, and the formal model of the proofs.

The number system follows the data: `of` reads it off a value, and a run happens in the system of its states. What has no
faithful meaning in a system (an exponential of a fraction, a float inside an exact run) raises `TypeError`; nothing is
approximated silently.
"""

from __future__ import annotations

from bdia_numerics.spaces.balls import Balls, MeanValue, ball_of as ball_of, carries_slopes as carries_slopes
from bdia_numerics.spaces.base import (
    GenericArithmetic as GenericArithmetic,
    Number,
    Numbers,
    Scalar,
    Space,
    UndecidedError,
    admitted,
    decimal as decimal,
    given as given,
    is_broken as is_broken,
    is_float,
    kind_of,
    of,
    parameter,
    plain,
    register,
    require_finite as require_finite,
    require_system as require_system,
    same_system,
    shaped as shaped,
    vanishes,
)
from bdia_numerics.spaces.floats import FLOAT32, FLOAT64, LONGDOUBLE, Numpy, named
from bdia_numerics.spaces.jax_arrays import tree as tree
from bdia_numerics.spaces.lattice import Lattice, LatticeSpace, as_floats, on_lattice as on_lattice
from bdia_numerics.spaces.memory import HALF, Array as Array, Memory, States as States, read_stored, register_reader
from bdia_numerics.spaces.multiprecision import MPMath
from bdia_numerics.spaces.rationals import FRACTION, Rationals
from bdia_numerics.spaces.showing import Drawn as Drawn, Listing as Listing, Shown as Shown
from bdia_numerics.spaces.symbolic import SYMBOLS, Symbols, Vector, formal_model
from bdia_numerics.spaces.values import (
    as_states as as_states,
    of_kind as of_kind,
    ordered as ordered,
    require_count as require_count,
    share as share,
    takes as takes,
)

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
