"""Determinants, symplectic structure, and gradient fields."""
