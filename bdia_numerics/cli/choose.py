"""What the commands share in reading numbers."""

from __future__ import annotations


def numbers(name: str, text: str) -> tuple[int, ...]:
    """Return the whole numbers of a list like 10,20,40; ValueError if it is none."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--{name}={text}: write whole numbers with commas, like 10,20,40") from None
