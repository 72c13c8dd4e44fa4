"""Amplification of rounding, measured and predicted.

``python experiments/precision.py [--out FOLDER]`` writes FOLDER/precision.nc (twenty seconds of one core).
"""

from bdia_numerics.cli.experiment import main

if __name__ == "__main__":
    main("precision")
