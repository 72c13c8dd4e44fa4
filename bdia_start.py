"""Where the command `bdia` begins: outside the package, so that an interruption while that is imported is a line, too."""

import sys


def main() -> None:
    """Import the command line and run it; the exit status is 130 if that is interrupted."""
    try:
        from bdia_numerics.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("bdia: stopped\n")
        sys.exit(130)
    except OSError as error:  # a working directory that is gone, a file of the package that cannot be read
        sys.stderr.write(f"bdia: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
