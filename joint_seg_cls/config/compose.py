"""Composition of further configurations for comparison with the running one; each is composed once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobRuntime
from omegaconf import DictConfig, open_dict

from joint_seg_cls.config import resolvers
from joint_seg_cls.config.grammar import as_text, quoted
from joint_seg_cls.config.options import Options
from joint_seg_cls.config.resolvers import config_folder
from joint_seg_cls.errors import ConfigError

#: The group of all ablations of the joint network and all other networks.
VARIANT = "variant"


@final
@dataclass(frozen=True)
class Composed:
    """A configuration without Hydra's part, and the final option of each group."""

    config: DictConfig
    choices: Mapping[str, str | None]


@final
class Composer:
    """Compose ``train`` with different overrides.

    Args:
        folders: folders of the user's configurations, searched after the shipped ones.
    """

    def __init__(self, folders: Sequence[str | Path] = ()) -> None:
        resolvers.register()
        self.folders = [Path(folder) for folder in folders]
        self._refuse_shipped_names()
        self.options = Options(self.folders)
        register_variants(self.folders)
        self._composed: dict[tuple[str, ...], Composed] = {}

    def __call__(self, overrides: Sequence[str] = ()) -> Composed:
        """Return the composed configuration of ``overrides``."""
        key = tuple(overrides)
        if key not in self._composed:
            own = ",".join(quoted(f"file://{folder}") for folder in self.folders)
            with _without_running_hydra(), initialize_config_dir(str(config_folder()), version_base="1.3"):
                config = compose("train", [f"hydra.searchpath=[{own}]", *key], return_hydra_config=True)
            choices = {str(group): option for group, option in config.hydra.runtime.choices.items()}
            with open_dict(config):
                del config["hydra"]
            self._composed[key] = Composed(config, choices)
        return self._composed[key]

    def _refuse_shipped_names(self) -> None:
        """Refuse a user's file with the name of a shipped one, which Hydra would read instead."""
        shipped = config_folder()
        for folder in self.folders:
            if folder.resolve() == shipped.resolve():
                continue
            for path in shipped.rglob("*.yaml"):
                own = folder / path.relative_to(shipped)
                if own.is_file():
                    raise ConfigError(
                        own,
                        expected="a name that no shipped configuration has",
                        found=f"the name of {path.relative_to(shipped)}, which would be read instead",
                        remedy="rename your file, and use the new name",
                    )


@contextmanager
def _without_running_hydra() -> Iterator[None]:
    """Suspend the running command's Hydra, since there can be only one instance."""
    instance, runtime = GlobalHydra.instance(), JobRuntime.instance()
    running, name = instance.hydra, runtime.conf.name
    instance.clear()
    try:
        yield
    finally:
        instance.hydra = running
        runtime.set("name", name)


def composer_of(hydra: Any) -> Composer:
    """Return a composer with the configuration folders of the command that ``hydra`` belongs to."""
    return Composer([source.path for source in hydra.runtime.config_sources if source.provider == "command-line"])


def register_variants(folders: Iterable[Path] = ()) -> None:
    """Register ``variant=`` as a group of all ablations of the joint network and all other networks.

    A study can then sweep over both kinds. May be called repeatedly.
    """
    store = ConfigStore.instance()
    for group in ("network", "ablation"):  # this order: the ablation `joint` replaces the network `joint`
        for folder in (config_folder(), *folders):
            for name in sorted(path.stem for path in (folder / group).glob("*.yaml")):
                node = {"defaults": [{f"override /{group}": name}]}
                store.store(group=VARIANT, name=name, node=node, package="_global_", provider="joint_seg_cls")


def options_chosen(overrides: Iterable[str], groups: Iterable[str]) -> dict[str, list[str]]:
    """Return the options that overrides select, by group, without overrides of single values."""
    known = {*groups, VARIANT}
    chosen: dict[str, list[str]] = {}
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        if override.key_or_group in known and not override.is_delete():
            option: Any = override.value()
            listed = option if isinstance(option, list) else [option]
            chosen[override.key_or_group] = ["null" if each is None else str(each) for each in listed]
    return chosen


def keys_set(overrides: Iterable[str], groups: Iterable[str]) -> list[str]:
    """Return the keys that overrides set, change or remove, without selected options."""
    known = {*groups, VARIANT}
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return [each.key_or_group for each in parsed if each.key_or_group not in known or each.is_delete()]


def choosing(chosen: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the overrides that select these options."""
    words = {
        group: [option if option == "null" else as_text(option) for option in options]
        for group, options in chosen.items()
    }
    return [
        f"{group}={options[0]}" if len(options) == 1 else f"{group}=[{','.join(options)}]"
        for group, options in sorted(words.items())
        if options
    ]
