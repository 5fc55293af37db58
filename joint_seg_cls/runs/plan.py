"""The plan of a training: its data, its folder, and everything that changes its results."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from joint_seg_cls.config.build import Config, build, get, plain, put, require
from joint_seg_cls.config.compose import Composer
from joint_seg_cls.config.keys import refuse_unknown_keys
from joint_seg_cls.config.schema import OF_THE_DATA, OF_THE_MACHINE, changes_result
from joint_seg_cls.data import JointDataModule, SplitFile
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.runs import naming
from joint_seg_cls.runs.checks import refuse_misfits, refuse_wrong_parts, refuse_wrong_values
from joint_seg_cls.runs.data_checks import refuse_unlearnable
from joint_seg_cls.runs.provenance import InitialWeights, Source, identity_of, initial_weights_of, revisions, sources_of
from joint_seg_cls.scan.checksums import file_sha256
from joint_seg_cls.training import ACCEPT_CODE, Recipe, RunFolder, find_checkpoint, read_checkpoint

#: Environment variable with the plan of a run, from the sweep to the job's process.
PLAN = "JSC_PLAN"


@final
@dataclass(frozen=True)
class Plan:
    """The plan of one training.

    Args:
        config: the configuration, with absolute paths and the sizes of the data.
        facts: hashes of store, split and folds, and of the initial weights.
        sources: external code that the configuration names.
        initial_weights: their provenance; None if the weights are random.
        fingerprint: of the configuration before the sizes of the data were set.
    """

    config: Config
    overrides: list[str]
    data: JointDataModule
    location: naming.RunLocation
    facts: dict[str, str]
    sources: Sequence[Source]
    initial_weights: InitialWeights | None
    fingerprint: str

    @property
    def run(self) -> RunFolder:
        """The run folder."""
        return RunFolder(self.location.path)

    def identity(self) -> dict[str, Any]:
        """Return all keys and facts that change the run's results."""
        return naming.identity(plain(self.config), **self.facts, **identity_of(self.sources))

    @property
    def accepts_code(self) -> bool:
        """Whether a run with different external code counts as this run."""
        return ACCEPT_CODE in self.config.accept

    def provenance(self) -> dict[str, Any]:
        """Return the content of ``provenance.json`` besides the identity."""
        started = None if self.initial_weights is None else self.initial_weights.record()
        return {"git": revisions(self.sources), "started_from": started}

    def handed_over(self) -> str:
        """Return a summary of this plan, with which a job skips repeated checks (see :meth:`Planner.plan`)."""
        where = self.location
        return json.dumps([self.fingerprint, self.facts, where.base, list(where.settings)])

    def is_done(self) -> bool:
        """Return whether the run is finished, and tested if ``evaluate`` is set.

        Raises:
            ConfigError: its folder contains another run.
        """
        there = self.run.identity()
        if there is None:
            return False
        config = self.config.copy()
        for key in OF_THE_MACHINE:
            put(config, key, there.get(key))
        own = naming.identity(plain(config), **self.facts, **identity_of(self.sources))
        self.run.refuse_other(own, accept_code=self.accepts_code)
        return self.run.is_done(tested=self.config.evaluate)


@final
class Planner:
    """Plan trainings; shared data are read once.

    Args:
        composer: returns what composes the reference configurations; not called for a plan that is handed over.
    """

    def __init__(self, composer: Callable[[], Composer]) -> None:
        self._composer = composer
        self._data: dict[str, JointDataModule] = {}
        self._meta_networks: dict[str, Any] = {}
        self._recipes: dict[Path, Recipe] = {}

    def plan(
        self, config: Config, choices: Mapping[str, str | None], overrides: Sequence[str], handed: str | None = None
    ) -> Plan:
        """Return the plan of a composed configuration; writes only the store's frozen folds.

        Args:
            config: the configuration; its paths become absolute, the network's sizes are set from the data.
            overrides: the overrides of the composition.
            handed: the result of :meth:`Plan.handed_over` for this run, which saves checks and naming; ignored if
                configuration or data differ.

        Raises:
            InputError: an invalid combination (before any data is read), or unusable data.
        """
        require(config, "train", "data.store")
        naming.absolute_paths(config)
        known = _read(handed, config) if handed else None
        if known is None:
            self._refuse_early(config, choices, overrides)
        fingerprint = _fingerprint(config)
        data = self._set_up(config.data)
        facts = {} if config.init_from is None else {"init_hash": file_sha256(find_checkpoint(config.init_from))[:16]}
        facts |= {"data_hash": data.store.content_hash, "split_hash": data.split_hash, "folds_hash": data.folds_hash}
        if known is not None and known[0] != facts:
            return self.plan(config, choices, overrides)
        if known is None:
            labels = [f"split-{data.folds.label}"] if isinstance(data.folds, SplitFile) else []
            location = naming.locate(config, choices, overrides, self._composer(), *labels)
            _refuse_other_sizes(config, overrides, data)
            fit_network_to(config, data)
            refuse_unlearnable(config, data, self._meta_network(config))
        else:
            location = naming.named_location(config, *known[1:])
            fit_network_to(config, data)
        sources = sources_of(_decisive(plain(config)))
        initial_weights = self._initial_weights(config, data, facts)
        plan = Plan(config, list(overrides), data, location, facts, sources, initial_weights, fingerprint)
        if plan.initial_weights is not None and config.evaluate and not plan.run.is_done(tested=True):
            plan.initial_weights.refuse_trained_on_test(config)
        return plan

    def _refuse_early(self, config: Config, choices: Mapping[str, str | None], overrides: Sequence[str]) -> None:
        """Run the checks that need no data."""
        refuse_unknown_keys(config, choices)
        refuse_wrong_values(config)
        refuse_misfits(config, choices, overrides, lambda: self._meta_network(config))
        refuse_wrong_parts(config)
        if config.init_from is not None:
            find_checkpoint(config.init_from)

    def _meta_network(self, config: Config) -> Any:
        """Return the network on the meta device, without allocating its weights; runs with equal networks share it."""
        import torch

        settings = plain(config.network)
        known = json.dumps(settings, sort_keys=True, default=str)
        if known not in self._meta_networks:
            with torch.device("meta"):
                self._meta_networks[known] = build(settings)
        return self._meta_networks[known]

    def _initial_weights(
        self, config: Config, data: JointDataModule, facts: Mapping[str, str]
    ) -> InitialWeights | None:
        if config.init_from is None:
            return None
        path = find_checkpoint(config.init_from)
        if path not in self._recipes:
            self._recipes[path] = read_checkpoint(path).recipe
        return initial_weights_of(self._recipes[path], data, facts)

    def _set_up(self, config: Config) -> JointDataModule:
        known = json.dumps(plain(config), sort_keys=True, default=str)
        if known not in self._data:
            self._data[known] = build(config)
            self._data[known].setup()
        return self._data[known]


def _decisive(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the keys of a configuration that change results."""
    return {
        key: _decisive(value, f"{prefix}{key}.") if isinstance(value, Mapping) else value
        for key, value in config.items()
        if changes_result(f"{prefix}{key}")
    }


def _fingerprint(config: Config) -> str:
    """Return a machine-independent digest of the keys that change results."""
    decisive = {key: each for key, each in naming.identity(plain(config)).items() if key not in OF_THE_MACHINE}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _read(handed: str, config: Config) -> tuple[dict[str, str], str, list[str]] | None:
    """Return facts, base and settings of a handed-over plan; None if it belongs to another run."""
    fingerprint, facts, base, settings = json.loads(handed)
    return (facts, base, settings) if fingerprint == _fingerprint(config) else None


def fit_network_to(config: Config, data: JointDataModule) -> None:
    """Set the network's input and output sizes from the data, for the keys that its configuration has."""
    for key, value in _sizes(data).items():
        if get(config, key) is not None:
            put(config, key, value)


def _refuse_other_sizes(config: Config, overrides: Sequence[str], data: JointDataModule) -> None:
    """Refuse explicitly set sizes that differ from the data, since they would be ignored."""
    typed = {word.split("=", 1)[0].lstrip("+") for word in overrides if "=" in word}
    for key, value in _sizes(data).items():
        given = plain(get(config, key))
        given = [given] * len(value) if isinstance(value, list) and isinstance(given, int) else given
        if key in typed and given != value:
            raise ConfigError(
                key,
                expected=f"{value}, the size of the data in {data.path}",
                found=str(given),
                remedy=f"omit {key}, or prepare another store",
            )


def _sizes(data: JointDataModule) -> dict[str, Any]:
    values = (list(data.image_size), data.in_channels, len(data.classes))
    return dict(zip(OF_THE_DATA, values, strict=True))
