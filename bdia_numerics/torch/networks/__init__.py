"""Networks: read from files, as models of states, sampled, and measured: slopes, growth of perturbations, repeatability, round trips."""
