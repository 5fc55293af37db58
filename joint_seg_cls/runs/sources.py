"""External code that a configuration names, as part of a run's identity.

A class named by ``_target_`` may change while the configuration does not. A run's identity therefore contains a hash
of all ``.py`` files of the class's top-level package or module, and of the uninstalled modules that it imports.
``provenance.json`` records the versions of the packages in :data:`KNOWN`; ``joint_seg_cls.RESULTS_VERSION`` is raised
when a change of this package alters results.
"""

import ast
import hashlib
import importlib.util
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import joint_seg_cls

#: Packages that the shipped configurations name in their targets.
KNOWN = frozenset({"joint_seg_cls", "hydra", "hydra_plugins", "lightning", "monai", "omegaconf", "optuna", "torch"})
_INSTALLED = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib"))
_GIT_S = 10


@final
@dataclass(frozen=True)
class Source:
    """A top-level package or module.

    Args:
        name: the name in an import statement.
        root: the folder of a package, or the file of a module.
    """

    name: str
    root: Path

    def files(self) -> list[Path]:
        """Return its Python files in alphabetical order."""
        return sorted(self.root.rglob("*.py")) if self.root.is_dir() else [self.root]

    def digest(self) -> str:
        """Return a hash of its files."""
        digest = hashlib.sha256()
        for path in self.files():
            within = path.relative_to(self.root).as_posix() if path != self.root else path.name
            content = path.read_bytes()
            digest.update(f"{within}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()[:16]

    def revision(self) -> dict[str, Any] | None:
        """Return the git revision and whether the files differ from it; None if git does not track them."""
        folder = self.root if self.root.is_dir() else self.root.parent
        first = next(iter(self.files()), None)
        if first is None or _git(folder, "ls-files", "--error-unmatch", "--", str(first)) is None:
            return None
        revision = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain", "--", str(self.root))
        return None if revision is None else {"revision": revision, "changed": bool(changes)}


def sources_of(config: Any) -> list[Source]:
    """Return the sources of the classes that a configuration names and of their imports, sorted by name."""
    found: dict[str, Source] = {}
    waiting = [(name, True) for name in sorted({target.split(".")[0] for target in _targets(config)})]
    while waiting:
        name, is_named = waiting.pop()
        if name in found or name in KNOWN or name in sys.stdlib_module_names:
            continue
        source = _source(name)
        if source is None or (_is_installed(source) and not is_named):
            continue
        found[name] = source
        if not _is_installed(source):
            waiting += [(each, False) for each in _imported(source)]
    return [found[name] for name in sorted(found)]


def identity_of(sources: Iterable[Source]) -> dict[str, Any]:
    """Return the entries of a run's identity that describe code."""
    own = {f"code.{source.name}": source.digest() for source in sources}
    return {"results_version": joint_seg_cls.RESULTS_VERSION} | own


def revisions(sources: Iterable[Source]) -> dict[str, Any]:
    """Return the git revisions of this package and of each source."""
    here = Source("joint_seg_cls", Path(joint_seg_cls.__file__).resolve().parent)
    return {source.name: source.revision() for source in (here, *sources)}


def _targets(config: Any) -> Iterator[str]:
    if isinstance(config, Mapping):
        if "_target_" in config:
            target = str(config["_target_"])
            yield target
            if target.startswith("hydra.utils.") and "path" in config:  # get_class, get_method, get_object
                yield str(config["path"])
        for value in config.values():
            yield from _targets(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _targets(value)


def _source(name: str) -> Source | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    folder = next(iter(spec.submodule_search_locations or ()), None)
    place = Path(folder or spec.origin or "")
    return Source(name, place.resolve()) if place.exists() and place.suffix in ("", ".py") else None


def _is_installed(source: Source) -> bool:
    return any(source.root.is_relative_to(place) for place in _INSTALLED)


def _imported(source: Source) -> set[str]:
    """Return the top-level names that a source imports."""
    names: set[str] = set()
    for path in source.files():
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module.split(".")[0])
    return names


def _git(folder: Path, *words: str) -> str | None:
    """Return the output of a git command; None if git is missing or fails."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            ["git", "-C", str(folder), *words],  # noqa: S607 - the user's git
            capture_output=True,
            text=True,
            check=False,
            timeout=_GIT_S,
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
