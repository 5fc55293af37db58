"""What a training is going to do, known before it begins: its data, its folder, and all that decides its numbers."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from joint_seg_cls.config.build import build, require
from joint_seg_cls.config.compose import Composer
from joint_seg_cls.config.tree import Config, get, plain, put
from joint_seg_cls.data import JointDataModule, SplitFile
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.runs import naming
from joint_seg_cls.runs.combinations import refuse_misfits
from joint_seg_cls.runs.learnable import refuse_unlearnable
from joint_seg_cls.runs.settings import refuse_unknown_keys, refuse_wrong_parts, refuse_wrong_values
from joint_seg_cls.runs.sources import Source, identity_of, revisions, sources_of
from joint_seg_cls.runs.start import Start, start_of
from joint_seg_cls.training import ACCEPT_CODE, Recipe, RunFolder, find_checkpoint, read_checkpoint


@final
@dataclass(frozen=True)
class Plan:
    """One training.

    Args:
        config: its configuration, with absolute paths and the sizes of its data.
        overrides: those that it was composed with.
        data: its data, set up.
        place: where it lies.
        facts: fingerprints of store, split and folds, and of the weights that it starts from.
        sources: the code outside this program that its configuration names.
        start: what is known of the weights that it starts from; None where it starts from none.
    """

    config: Config
    overrides: list[str]
    data: JointDataModule
    place: naming.Place
    facts: dict[str, str]
    sources: Sequence[Source]
    start: Start | None

    @property
    def run(self) -> RunFolder:
        """The run folder."""
        return RunFolder(self.place.path)

    def identity(self) -> dict[str, Any]:
        """Return all that decides the run's numbers."""
        return naming.identity(plain(self.config), **self.facts, **identity_of(self.sources))

    @property
    def accepts_code(self) -> bool:
        """Whether a run of other code counts as this one."""
        return ACCEPT_CODE in self.config.accept

    def provenance(self) -> dict[str, Any]:
        """Return what ``provenance.json`` keeps beside the identity."""
        started = None if self.start is None else self.start.record()
        return {"git": revisions(self.sources), "started_from": started}

    def is_done(self) -> bool:
        """Return whether the run is finished, and tested if it is to be.

        Raises:
            ConfigError: its folder holds another run.
        """
        there = self.run.identity()
        if there is None:
            return False
        config = self.config.copy()
        for key in naming.OF_THE_MACHINE:
            put(config, key, there.get(key))
        own = naming.identity(plain(config), **self.facts, **identity_of(self.sources))
        self.run.refuse_other(own, accept_code=self.accepts_code)
        return self.run.is_done(tested=self.config.evaluate)


@final
class Planner:
    """Plan trainings; data that several of them share are read once.

    Args:
        compose: composes the configurations that theirs are compared with.
    """

    def __init__(self, compose: Composer) -> None:
        self._compose = compose
        self._data: dict[str, JointDataModule] = {}
        self._starts: dict[Path, Recipe] = {}

    def plan(self, config: Config, choices: Mapping[str, str | None], overrides: Sequence[str]) -> Plan:
        """Return the plan of a composed configuration; nothing is written but the store's frozen folds.

        Args:
            config: the configuration; its paths become absolute, its network gets the sizes of the data.
            choices: the option of each group.
            overrides: those that it was composed with.

        Raises:
            InputError: parts that do not go together (before any data is read), or data that cannot be used.
        """
        require(config, "train", "data.store")
        refuse_unknown_keys(config, self._compose().config, choices)
        refuse_wrong_values(config)
        refuse_misfits(config, choices, overrides)
        refuse_wrong_parts(config)
        naming.absolute_paths(config)
        if config.init_from is not None:
            find_checkpoint(config.init_from)  # before data are read
        data = self._set_up(config.data)
        labels = [f"split-{data.folds.label}"] if isinstance(data.folds, SplitFile) else []
        place = naming.place(config, overrides, self._compose, *labels)
        _refuse_other_sizes(config, overrides, data)
        fit_network_to(config, data)
        refuse_unlearnable(config, data)
        facts = {} if config.init_from is None else {"init_hash": _content_hash(find_checkpoint(config.init_from))}
        facts |= {"data_hash": data.store.content_hash, "split_hash": data.split_hash, "folds_hash": data.folds_hash}
        sources = sources_of(_decisive(plain(config)))
        plan = Plan(config, list(overrides), data, place, facts, sources, self._start(config, data, facts))
        if plan.start is not None and config.evaluate and not plan.run.is_done(tested=True):
            plan.start.refuse_trained_on_test(config)
        return plan

    def _start(self, config: Config, data: JointDataModule, facts: Mapping[str, str]) -> Start | None:
        if config.init_from is None:
            return None
        path = find_checkpoint(config.init_from)
        if path not in self._starts:
            self._starts[path] = read_checkpoint(path).recipe
        return start_of(self._starts[path], data, facts)

    def _set_up(self, config: Config) -> JointDataModule:
        known = json.dumps(plain(config), sort_keys=True, default=str)
        if known not in self._data:
            self._data[known] = build(config)
            self._data[known].setup()
        return self._data[known]


def _decisive(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the part of a configuration that decides a run's numbers."""
    return {
        key: _decisive(value, f"{prefix}{key}.") if isinstance(value, Mapping) else value
        for key, value in config.items()
        if naming.changes_result(f"{prefix}{key}")
    }


def _content_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def fit_network_to(config: Config, data: JointDataModule) -> None:
    """Give the network the sizes of what it will see, as far as its configuration asks for them."""
    for key, value in _sizes(data).items():
        if get(config, key) is not None:
            put(config, key, value)


def _refuse_other_sizes(config: Config, overrides: Sequence[str], data: JointDataModule) -> None:
    """Refuse a size that was typed and is not that of the data: it would not be used."""
    typed = {word.split("=", 1)[0].lstrip("+") for word in overrides if "=" in word}
    for key, value in _sizes(data).items():
        asked = plain(get(config, key))
        asked = [asked] * len(value) if isinstance(value, list) and isinstance(asked, int) else asked
        if key in typed and asked != value:
            raise ConfigError(
                key,
                expected=f"{value}, as the data of {data.path} are",
                found=str(asked),
                remedy=f"leave {key} out, or prepare another store",
            )


def _sizes(data: JointDataModule) -> dict[str, Any]:
    values = (list(data.image_size), data.in_channels, len(data.classes))
    return dict(zip(naming.OF_THE_DATA, values, strict=True))
