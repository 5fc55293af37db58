"""Origin of a training's initial weights and of external code that its configuration names.

A class named by ``_target_`` may change while the configuration does not. A run's identity therefore contains a hash of
all ``.py`` files of the class's top-level package or module, and of the uninstalled modules that it imports.
``provenance.json`` records the versions of the packages in :data:`KNOWN`; ``joint_seg_cls.RESULTS_VERSION`` is
increased when a change of this package alters results.
"""

import ast
import hashlib
import importlib.util
import logging
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import joint_seg_cls
from joint_seg_cls.config.build import Config
from joint_seg_cls.data import JointDataModule
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.training import Overlap, Recipe, known_marks, overlap

_log = logging.getLogger(__name__)
#: Value of ``accept`` that allows initial weights trained on the test scans.
ACCEPT_TRAINED_ON_TEST = "trained_on_test"
#: Packages that the shipped configurations name in their targets.
KNOWN = frozenset({"joint_seg_cls", "hydra", "hydra_plugins", "lightning", "monai", "omegaconf", "optuna", "torch"})
_INSTALLED = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib"))
_GIT_S = 10


@final
@dataclass(frozen=True)
class InitialWeights:
    """Provenance of initial weights.

    Args:
        marks: identifiers of their training scans; None if the checkpoint does not record them.
        tested: test scans among them, and other scans of the same subjects.
        validated: the same for the validation part.
        sizes: numbers of test and validation scans.
        preprocess: the preprocessing of their training scans.
    """

    marks: Sequence[str] | None
    tested: Overlap
    validated: Overlap
    sizes: tuple[int, int]
    preprocess: Mapping[str, Any]

    def record(self) -> dict[str, Any]:
        """Return the entries of ``provenance.json``."""
        return {"is_known": self.marks is not None, "trained_on_test": self.tested.counts()}

    def warn_of_other_preprocessing(self, settings: Mapping[str, Any]) -> None:
        """Warn if the store's ``settings`` for the network's image differ from those of the initial weights."""
        steps = [step for step in ("layout", "intensity") if self.preprocess.get(step) != settings.get(step)]
        if steps:
            _log.warning(
                "init_from: the weights were trained on scans prepared with another %s; prepare the cohort in the same "
                "way (the pretrained weights: preprocess=real_scans image_size=[112,128,112])",
                " and ".join(steps),
            )

    def refuse_trained_on_test(self, config: Config) -> None:
        """Refuse weights that were trained on test scans, unless the user accepts them.

        Raises:
            ConfigError: the weights were trained on test scans.
        """
        if self.marks is None:
            _log.warning("init_from: the checkpoint does not record its training scans")
        tested, validated = self.sizes
        if self.validated:
            found = self.validated.of(validated)
            _log.warning(
                "init_from: these weights were trained or selected on %s of the validation part: val/score is too high",
                found,
            )
        if not self.tested:
            return
        if ACCEPT_TRAINED_ON_TEST in config.accept:
            found = self.tested.of(tested)
            _log.warning("init_from: these weights were trained on %s to test: the test is biased upwards", found)
            return
        raise ConfigError(
            "init_from",
            expected=f"weights trained on no scan and no subject of test fold {config.fold}",
            found=f"weights trained on {self.tested.of(tested)}",
            remedy="start from a run of the same fold, or add "
            f"accept=[{ACCEPT_TRAINED_ON_TEST}] for a test that is biased upwards, as its report will state",
        )


def initial_weights_of(recipe: Recipe, data: JointDataModule, facts: Mapping[str, Any]) -> InitialWeights:
    """Return the provenance of a checkpoint's weights with respect to the data of a training."""
    cases, split = data.store.cases, data.split
    marks = known_marks(recipe, cases, data.frozen.splits, facts)
    own = (*split.train, *split.validation)
    tested = overlap(marks or (), cases, split.test, own)
    validated = overlap(marks or (), cases, split.validation, split.train)
    return InitialWeights(marks, tested, validated, (len(split.test), len(split.validation)), recipe.preprocess)


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
