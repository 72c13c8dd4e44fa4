"""Both sides of round trips on handwritten digits, beside a reference solution of the same ODE.

``python experiments/digits.py [--out FOLDER]`` writes FOLDER/digits.nc (a minute of one core).
"""

from bdia_numerics.cli.experiment import main

if __name__ == "__main__":
    main("digits")
