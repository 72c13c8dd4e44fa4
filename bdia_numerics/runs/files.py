"""Files: written whole or not at all, and their paths checked before the work whose results they take."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bdia_numerics.texts import refuse


@contextmanager
def writing(path: str | Path) -> Iterator[Any]:
    """Give a binary file beside `path` that takes the place of `path` once all of it is on the disk.

    A reader of `path` sees the old content or the new one. If the block raises, or the disk is full, `path` stays as it was. A path that
    is not a regular file, such as /dev/stdout, is written in place.

    Raises
    ------
    OSError
        If the file cannot be written, with `path` as its filename.

    Examples
    --------
    >>> with writing("notes.txt") as file:
    ...     file.write(b"all of it")
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as file:
                yield file
            return
        beside = _beside(target)
        try:
            with beside.open("x+b") as file:  # HDF5 reads what it writes
                if target.exists():
                    shutil.copymode(target, beside)
                yield file
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def write(path: str | Path, content: str | bytes) -> None:
    """Write a text, as UTF-8, or bytes to a file, whole or not at all; OSError as `writing`."""
    with writing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def check(name: str, path: str | Path | None, suffixes: Sequence[str] = ()) -> None:
    """Raise ValueError unless a file can be written, so that a command says so before it works for minutes.

    Parameters
    ----------
    name
        Of the argument or option, for the message.
    path
        The file; None passes.
    suffixes
        Of which its name must have one, such as (".png", ".pdf").
    """
    if path is None:
        return
    path = Path(path)
    try:
        folder = Path(os.path.realpath(path)).parent
        refuse(
            (not folder.is_dir(), f"{name}={path}: there is not a folder {folder}, make it first"),
            (path.is_dir(), f"{name}={path} is a folder: give the path of a file in it"),
        )
        if os.path.lexists(path) and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if not path.exists() or path.is_file():
            beside = _beside(path.absolute())
            beside.touch(exist_ok=False)
            beside.unlink()
        if suffixes and path.suffix.lower() not in suffixes:
            raise ValueError(f"{name}={path}: end its name in {' or '.join(suffixes)}")
    except OSError as error:
        said = f"{str(path)[:60]}..." if len(str(path)) > 80 else str(path)
        raise ValueError(f"{name}={said} cannot be written ({error.strerror}): give another path") from None


def fingerprint(folder: Path, suffix: str = "", without: frozenset[str] = frozenset()) -> str:
    """Return the SHA-256 of the files below a folder, with their names; hidden ones and parts of a path in `without` left out."""
    digest = hashlib.sha256()
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob(f"*{suffix}") if path.is_file()}
    for name, path in sorted(paths.items()):
        if not (path.name.startswith(".") or without & set(Path(name).parts)):
            digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _beside(path: Path) -> Path:
    """Return a free name in the same folder, short enough wherever that of `path` is."""
    return path.with_name(f".{os.getpid()}-{secrets.token_hex(4)}.part")


def clear(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder; that of processes that live stays."""
    for left in folder.glob(".*-*.part"):
        pid = left.name[1:].partition("-")[0]
        if not pid.isdigit():
            continue
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            left.unlink(missing_ok=True)
        except OSError:
            continue  # a process of somebody else
