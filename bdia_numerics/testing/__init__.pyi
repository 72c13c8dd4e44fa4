# Made by scripts/stubs.py: where the public names of bdia_numerics.testing come from.

from bdia_numerics.testing.certificate import Certified as Certified
from bdia_numerics.testing.certificate import certify as certify
from bdia_numerics.testing.latents import assert_latent_valid as assert_latent_valid
from bdia_numerics.testing.orders import UndecidedOrder as UndecidedOrder
from bdia_numerics.testing.orders import assert_nfe as assert_nfe
from bdia_numerics.testing.orders import assert_order as assert_order
from bdia_numerics.testing.orders import order_of as order_of
from bdia_numerics.testing.returns import Returned as Returned
from bdia_numerics.testing.returns import assert_exactly_invertible as assert_exactly_invertible
from bdia_numerics.testing.returns import assert_round_trip as assert_round_trip
from bdia_numerics.testing.returns import returned as returned
from bdia_numerics.testing.same import assert_same as assert_same
from bdia_numerics.testing.samplers import Undecided as Undecided
from bdia_numerics.testing.samplers import from_kdiffusion as from_kdiffusion

__all__ = [
    "Certified",
    "Returned",
    "Undecided",
    "UndecidedOrder",
    "assert_exactly_invertible",
    "assert_latent_valid",
    "assert_nfe",
    "assert_order",
    "assert_round_trip",
    "assert_same",
    "certify",
    "from_kdiffusion",
    "order_of",
    "returned",
]
