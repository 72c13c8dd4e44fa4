"""Errors against exact flows: orders, budgets, leading coefficients, work and precision, the best gamma."""
