"""How perturbations and roundings grow on a grid."""
