"""``python -m bdia_numerics`` is the command `bdia`."""

from bdia_numerics.cli import main

main()
