"""Runs: `stepwise` takes one model output at a time, `solving` feeds it there and back, `encoding` goes from data to noise and round.

`state` is what a run leaves, and `files` writes it, as all files, completely or not at all; `fitting` and `bit_exact` are made of runs, and
`inversion` holds what takes solvers to the noise whose steps have no exact inverse.
"""
