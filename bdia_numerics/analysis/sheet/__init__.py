"""The datasheet of a solver: proved, measured, compared."""
