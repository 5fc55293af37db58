"""Write the lock files from the packages of the running environment: ``make lock``.

``requirements.txt`` pins what the program runs with, ``requirements-test.txt`` what the tests and checks need besides.
Both are installed without resolving, so each name that a package requires must be in one of them.
"""

from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

FOLDER = Path(__file__).parent
PROJECT = "joint-seg-cls"
BUILD = ("hatchling", "setuptools")


def closure(*roots: Requirement) -> set[str]:
    """Return the names of all installed packages that ``roots`` require, their own included."""
    visited: set[tuple[str, str]] = set()
    waiting = list(roots)
    while waiting:
        root = waiting.pop()
        name = canonicalize_name(root.name)
        for extra in ("", *root.extras):
            if (name, extra) in visited:
                continue
            visited.add((name, extra))
            required = map(Requirement, distribution(name).requires or [])
            waiting += [r for r in required if r.marker is None or r.marker.evaluate({"extra": extra})]
    return {name for name, _ in visited}


def write(path: Path, title: str, names: set[str]) -> None:
    """Pin ``names`` to their installed versions; a local label such as ``+cpu`` is no part of a pin."""
    pins = [f"{name}=={Version(distribution(name).version).public}" for name in sorted(names - {PROJECT})]
    path.write_text("\n".join([f"# {title}; written by `make lock`.", *pins, ""]), encoding="utf-8")


def main() -> None:
    """Write both files."""
    run = closure(Requirement(PROJECT), *map(Requirement, BUILD))
    test = closure(Requirement(f"{PROJECT}[dev]")) - run
    write(FOLDER / "requirements.txt", "What the program runs with, and what its installation builds with", run)
    write(FOLDER / "requirements-test.txt", "What the tests and checks need besides requirements.txt", test)


if __name__ == "__main__":
    main()
