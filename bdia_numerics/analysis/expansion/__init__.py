"""Taylor expansion of step programs: series, elementary differentials and weights, modes, and the order that follows."""
