"""The one handler of failures, for all commands: a line on standard error and a status, and no traceback.

0 is success; 1 a finding that the command is asked for, such as a failed check; 2 what cannot be done as it was asked; 3 a defect of this
package; 130 an interruption.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from bdia_numerics.cli.options import in_options, visible

TRACEBACK = "BDIA_TRACEBACK"
"""Set in the environment, it shows the traceback of whatever ends a command."""

ClickException: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""Of the click that typer is made of, its own or another one by version."""
REFUSED = (ValueError, TypeError, ArithmeticError, RuntimeError, ImportError)
_GONE = (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG, errno.EDQUOT)

_AS_OPTIONS = {
    "end the grid above it (t_min > 0), or encode by another method, such as inversion.DDIMInversion()": (
        "pass --grid uniform:t_min=0.01, or --inversion '(10)'"
    ),
    "pass invert=, ": "pass --invert, ",
    "pass invertible=False with stable='sample' or None": "pass --approximate with --stable sample or none",
    "sample, encode, None": "sample, encode, none",
    "pass fewer states at a time": "pass a smaller --count, or a narrower --dtype",
}
"""Remedies of the library in words of the command line."""


class Refused(Exception):
    """A command cannot do what it was asked; its text is the line, which the handler prints as it is."""


class OneLine(TyperGroup):
    """The root of the commands, which runs the one that is named and turns what it raises into a line and a status."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command line and exit with its status; return that where `standalone_mode` is false."""
        given: Sequence[str] | None = args[0] if args else options.get("args")

        def run() -> None:
            self._main_shell_completion({}, "bdia")  # ends the program where a shell asks for words
            words = list(sys.argv[1:] if given is None else given)
            with self.make_context(options.get("prog_name") or "bdia", words) as context:
                self.invoke(context)

        status = status_of(run)
        return sys.exit(status) if options.get("standalone_mode", True) else status


def status_of(run: Callable[[], object]) -> int:
    """Return the exit status of what is run, and print why it failed."""
    if sys.stdout is None:
        return _said("standard output is closed: give a file or a terminal, such as >/dev/null")
    try:
        with warnings_in_one_line():
            run()
        sys.stdout.flush()
    except (typer.Exit, SystemExit) as ended:
        if isinstance(ended, SystemExit) and (place := _users(ended)):  # not a success, whatever its status
            return _said(f"{place} ended the program: take the exit out, or put it below if __name__ == '__main__'")
        code = ended.exit_code if isinstance(ended, typer.Exit) else ended.code
        return _flushed(code if isinstance(code, int) else int(code is not None))
    except ClickException as error:
        context = getattr(error, "ctx", None)
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(error.format_message())
            return 2
        where = f" (see {context.command_path} --help)" if context else ""
        return _said(f"{' '.join(error.format_message().split())}{where}")
    except (KeyboardInterrupt, typer.Abort) as error:
        return _said(str(error) or "stopped", 130)
    except BrokenPipeError:  # the reader has what it wanted, as with `| head`
        _let_go_of_output()
        return 1
    except Exception as error:  # noqa: BLE001 - whatever a command raises ends in one line
        if os.environ.get(TRACEBACK):
            traceback.print_exc()
        return _said(*_line(error))
    return 0


def _flushed(code: int) -> int:
    try:
        sys.stdout.flush()
    except OSError as error:
        return _said(*_line(error))
    return code


def _line(error: BaseException) -> tuple[str, int]:
    """Return what is said of an exception, and the status."""
    said = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError):
        return "out of memory: ask for fewer steps, states or images", 2
    if isinstance(error, RecursionError):
        return "what was given is nested too deep: is it the right file?", 2
    if isinstance(error, OSError):
        return _of_file(error), 2
    if isinstance(error, (*REFUSED, Refused)) and not isinstance(error, NotImplementedError):
        for sentence, option in _AS_OPTIONS.items():
            said = said.replace(sentence, option)
        return in_options(said), 2
    frames = traceback.extract_tb(error.__traceback__)
    if place := _users(error):
        return f"{place} raised {type(error).__name__}: {said}: mend it, {TRACEBACK}=1 shows how it was called", 3
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"a defect of bdia_numerics: {type(error).__name__}: {said}{where}; please report it, with {TRACEBACK}=1", 3


def _users(error: BaseException) -> str:
    """Return file and line of the user's own code that raised an exception; empty for another."""
    frames = traceback.extract_tb(error.__traceback__)
    package = str(Path(__file__).parents[1])
    ours = [k for k, frame in enumerate(frames) if frame.filename.startswith(package) and frame.filename != __file__]
    after = frames[ours[-1] + 1 :] if ours else []  # what the package called last, of libraries or of the user
    theirs = [frame for frame in after if not frame.filename.startswith((sys.prefix, sys.base_prefix, "<"))]
    return f"{Path(theirs[-1].filename).name}:{theirs[-1].lineno}" if theirs else ""


def _of_file(error: OSError) -> str:
    if not (why := error.strerror):
        return " ".join(str(error).split())
    if error.filename is not None:
        name = str(error.filename)
        return f"{name if len(name) < 80 else name[:77] + '...'}: {why}; give another path, or make room"
    try:
        Path.cwd()
    except OSError:
        return "the working directory is gone: change to another folder"
    if error.errno in _GONE:
        _let_go_of_output()
        return f"standard output cannot be written ({why}): give another file, or make room"
    return why


def _let_go_of_output() -> None:
    """Send what is left in the buffer nowhere: the interpreter would try it once more at its end, and complain."""
    if sys.stdout is sys.__stdout__ and sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _said(line: str, status: int = 2) -> int:
    line = visible(line)
    with suppress(OSError):  # standard error is full or gone, too: the status is all that is left
        typer.echo(f"bdia: {line if len(line) < 600 else line[:597] + '...'}", err=True)
    return status


@contextmanager
def warnings_in_one_line() -> Iterator[None]:
    """Say each warning in one line, and once."""
    said = set[str]()

    def show(message: Any, *_: Any, **__: Any) -> None:
        line = f"bdia: warning: {' '.join(str(message).split())}"
        if line not in said:
            typer.echo(line, err=True)
        said.add(line)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield
