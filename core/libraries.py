"""Which versions of libraries are installed here."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata


def find_versions(names: Iterable[str]) -> dict[str, str]:
    """Name of a distribution -> its version; those that are not installed are left out."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
