"""Solvers found by machine: templates with symbols for weights, their order conditions solved, the best of a family on a schedule."""
