"""The former name of `names`, for one release."""

from bdia_numerics.names import solver

__all__ = ["solver"]
