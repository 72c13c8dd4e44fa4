"""Characteristic polynomials, root conditions and stability intervals, decided exactly."""
