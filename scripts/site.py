"""Packs the built documentation for a web server, with the chapters as notebooks: docs/_build/site.zip.

Usage: make site

The archive holds what a server shows: the pages, an empty .nojekyll, without which GitHub's server leaves out folders that begin with
an underscore, and notebooks/ with the executed chapters, which readers download from the page "Teach with it". The same files give
the same archive, byte for byte.
"""

import sys
import zipfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
BUILT = DOCS / "_build" / "html"
FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # of an archive's calendar: times of files would make each archive another


def contents() -> dict[str, Path | None]:
    """Return what is packed, by its path in the archive; None is an empty file."""
    found: dict[str, Path | None] = {".nojekyll": None}
    left_out = {".doctrees", ".buildinfo"}
    found |= {
        path.relative_to(BUILT).as_posix(): path
        for path in sorted(BUILT.rglob("*"))
        if path.is_file() and not left_out & set(path.relative_to(BUILT).parts)
    }
    return found | {f"notebooks/{path.name}": path for path in sorted((DOCS / "notebooks").glob("*.ipynb"))}


def main() -> int:
    """Write the archive; return the exit status."""
    if not (BUILT / "index.html").is_file():
        print(f"{BUILT} has no index.html: run `make site`, which builds the pages first", file=sys.stderr)
        return 1
    archive = BUILT.parent / "site.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, path in contents().items():
            packed.writestr(zipfile.ZipInfo(name, FIRST_DAY), path.read_bytes() if path else b"", zipfile.ZIP_DEFLATED)
    print(f"{archive}: {archive.stat().st_size / 1e6:.1f} MB, {len(contents())} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
