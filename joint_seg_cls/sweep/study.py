"""A study: a list of runs, written before the first run starts."""

import glob
import hashlib
import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, final

from filelock import FileLock

from joint_seg_cls.atomic_write import write_json
from joint_seg_cls.config.keys import make_folder, writable
from joint_seg_cls.errors import ConfigError

_log = logging.getLogger(__name__)
FOLDER = "studies"


@final
@dataclass(frozen=True)
class StudyRun:
    """One run of a study.

    Args:
        folder: run folder, relative to the collection.
        variant: the first part of ``folder``: ablation or network, and other settings.
        base: the ablation or network: the row of a table.
        settings: the other settings; equal for comparable runs.
        overrides: overrides with which ``jsc train`` repeats the run.
    """

    folder: str
    variant: str
    base: str
    settings: list[str]
    fold: int | str
    seed: int
    overrides: list[str]


@final
@dataclass(frozen=True)
class Study:
    """A named list of runs in one collection; ``tables`` are the paper's tables that it reproduces."""

    collection: Path
    name: str
    created_by: str
    runs: tuple[StudyRun, ...]
    tables: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The study's file."""
        return self.collection / FOLDER / f"{self.name}.json"

    def folders(self) -> list[Path]:
        """Return the run folders."""
        return [self.collection / run.folder for run in self.runs]

    def record(self, *, keep: Literal["alike", "all"] = "alike") -> "Study":
        """Write the study and return it.

        Args:
            keep: which earlier entries to keep: runs with the same settings, or all runs and tables.
        """
        make_folder(writable(self.path.parent, "runs"), "runs")
        with FileLock(self.path.with_suffix(".lock")):
            there = self._earlier()
            earlier = () if there is None else there.runs
            tables = (
                self.tables if there is None or keep == "alike" else tuple(dict.fromkeys(there.tables + self.tables))
            )
            alike = {tuple(run.settings) for run in self.runs}
            own = {run.folder for run in self.runs}
            stays = [run for run in earlier if keep == "all" or tuple(run.settings) in alike]
            kept = [run for run in stays if run.folder not in own]
            whole = replace(self, runs=(*kept, *self.runs), tables=tables)
            if len(stays) < len(earlier):
                dropped = len(earlier) - len(stays)
                _log.warning(
                    "study %s: %d runs with other settings removed from the list; folders are kept", self.name, dropped
                )
            write_json(self.path, whole.content())
        return whole

    def _earlier(self) -> "Study | None":
        """Return the previously written study; rename a damaged file."""
        if not self.path.is_file():
            return None
        try:
            return read_study(self.path)
        except ConfigError as error:
            aside = self.path.with_suffix(".damaged")
            self.path.replace(aside)
            _log.warning("%s The list is written again; the damaged file is now %s", error, aside.name)
            return None

    def content(self) -> dict[str, Any]:
        """Return the content of the file as plain values."""
        runs = [asdict(run) for run in self.runs]
        return {"study": self.name, "created_by": self.created_by, "tables": list(self.tables), "runs": runs}


def read_study(path: Path) -> Study:
    """Read a study's file.

    Raises:
        ConfigError: the file is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        runs = tuple(_run(**run) for run in content["runs"])
        name, created_by, tables = str(content["study"]), str(content["created_by"]), _texts(content["tables"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(
            path,
            expected="a study's list of runs",
            found=f"a damaged file ({type(error).__name__})",
            remedy="start the sweep again, which rewrites the file",
        ) from error
    return Study(path.parents[1], name, created_by, runs, tables)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError("expected a list of strings")
    return tuple(value)


def _run(
    folder: str, variant: str, base: str, settings: list[str], fold: int | str, seed: int, overrides: list[str]
) -> StudyRun:
    """Return one entry of the file.

    Raises:
        TypeError: a value of the wrong type, or a folder outside the collection.
    """
    words = [folder, variant, base, *settings, *overrides]
    is_valid = isinstance(fold, int | str) and isinstance(seed, int) and all(isinstance(word, str) for word in words)
    if not is_valid or not isinstance(settings, list) or not isinstance(overrides, list) or not _is_inside(folder):
        raise TypeError
    return StudyRun(folder, variant, base, settings, fold, seed, overrides)


def _is_inside(folder: str) -> bool:
    parts = Path(folder).parts
    return bool(parts) and not Path(folder).is_absolute() and ".." not in parts and "\0" not in folder


def find_study(name: str, runs: str | Path, collection: str | None = None) -> Study:
    """Return the study with this name in ``collection``, or in the only collection that has it.

    Raises:
        ConfigError: no study or several studies have this name.
    """
    root = Path(runs).expanduser()
    known = sorted(root.glob(f"{glob.escape(collection) if collection else '*'}/{FOLDER}/*.json"))
    found = [path for path in known if path.stem == name]
    if len(found) == 1:
        return read_study(found[0])
    where = root / (collection or "*") / FOLDER / f"{name}.json"
    if found:
        collections = ", ".join(path.parents[1].name for path in found)
        raise ConfigError(where, expected="one study", found=f"one each in {collections}", remedy="add collection=")
    raise ConfigError(
        where,
        expected=f"one of the studies {', '.join(sorted({path.stem for path in known})) or '(none yet)'}",
        found="no such file",
        remedy="name one of these, or start the sweep (jsc train -m) in this folder",
    )


def sweep_name(folders: Iterable[str], swept: Iterable[str]) -> str:
    """Return a default name for a sweep: the swept keys and a digest of the run folders."""
    digest = hashlib.sha256("\n".join(sorted(folders)).encode()).hexdigest()[:4]
    return "-".join(["sweep", *(key.replace("/", "-") for key in dict.fromkeys(swept)), digest])
