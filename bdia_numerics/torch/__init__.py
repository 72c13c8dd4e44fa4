"""Tensors as a number system, adapters for networks, and a trained network. Importing it lets `solve` and its like take tensors."""

from __future__ import annotations

from bdia_numerics.torch.tensors import Tensors

__all__ = ["Tensors"]
