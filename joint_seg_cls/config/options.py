"""Options of config groups, read from their files without composing."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import yaml

from joint_seg_cls.config.build import flatten
from joint_seg_cls.config.resolvers import config_folder
from joint_seg_cls.errors import ConfigError

JOINT = "joint"
#: Groups that a training requires (`null` and `~` remove them), with a valid option of each.
GROUPS = {
    "network": "joint",
    "loss": "joint",
    "optimizer": "adam",
    "scheduler": "constant",
    "trainer": "paper",
    "callbacks": "default",
    "tracking": "none",
    "protocol": "strict",
    "data": "joint",
}


@final
class Options:
    """The config groups of ``train``.

    Args:
        folders: folders of the user's configurations, searched after the shipped ones.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self._folders = [config_folder(), *folders]
        self._groups: set[str] = set()
        self._read: dict[tuple[str, str], Mapping[str, Any]] = {}

    def groups(self) -> set[str]:
        """Return the names of all groups, such as ``network/guidance``."""
        if not self._groups:
            for folder in self._folders:
                self._groups |= {path.parent.relative_to(folder).as_posix() for path in folder.rglob("*.yaml")}
        return self._groups

    def of(self, group: str) -> list[str]:
        """Return the names of a group's options."""
        return sorted({path.stem for folder in self._folders for path in (folder / group).glob("*.yaml")})

    def is_own(self, group: str, option: str) -> bool:
        """Return whether an option is a user's file."""
        return any((folder / group / f"{option}.yaml").is_file() for folder in self._folders[1:])

    def content(self, group: str, option: str) -> Mapping[str, Any]:
        """Return the content of an option's file; empty if there is no such file.

        Raises:
            ConfigError: the file is not valid YAML.
        """
        key = group, option
        if key not in self._read:
            paths = [folder / group / f"{option}.yaml" for folder in self._folders]
            found = next((path for path in paths if path.is_file()), None)
            self._read[key] = {} if found is None else _parsed(found)
        return self._read[key]

    def overridden_by(self, group: str, option: str) -> dict[str, str]:
        """Return the options of other groups that an option selects (``override /group: option``)."""
        found: dict[str, str] = {}
        for entry, chosen, is_override in self._entries(group, option):
            if is_override:
                found[entry] = chosen
            elif entry == group:
                found = self.overridden_by(group, chosen) | found
        return found

    def keys(self, group: str, option: str) -> list[str]:
        """Return the dotted keys that an option sets, including options of its group that it is based on."""
        content = {key: value for key, value in self.content(group, option).items() if key != "defaults"}
        found = [key for key, _ in flatten(content) if content]
        for entry, chosen, _ in self._entries(group, option):
            found += self.keys(group, chosen) if entry == group else []
        return found

    def chosen(self, selection: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Return the option of each group of ``train`` for a ``selection`` of options by group."""
        overrides = {}
        for group, options in selection.items():
            for option in options:
                overrides |= self.overridden_by(group, option)
        overrides |= {group: options[-1] for group, options in selection.items() if options}
        if "ablation" in overrides:
            overrides = self.overridden_by("ablation", overrides["ablation"]) | overrides
        return dict(self._walk("", "train", overrides))

    def _walk(self, group: str, option: str, overrides: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        for entry, default, is_override in self._entries(group, option):
            if is_override:
                continue
            chosen = default if entry == group else overrides.get(entry, default)
            if entry != group:
                yield entry, chosen
            yield from self._walk(entry, chosen, overrides)

    def _entries(self, group: str, option: str) -> Iterator[tuple[str, str, bool]]:
        """Yield (group, option, whether it is an override) for each entry of an option's defaults list."""
        for entry in self.content(group, option).get("defaults") or []:
            if isinstance(entry, str):
                if entry != "_self_":
                    yield group, entry, False
                continue
            for key, chosen in entry.items():
                *marks, name = str(key).split()
                name = name.partition("@")[0]
                full = name.lstrip("/") if name.startswith("/") or not group else f"{group}/{name}"
                for each in chosen if isinstance(chosen, list) else [chosen]:
                    yield full, "null" if each is None else str(each), "override" in marks


def _parsed(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        found = " ".join(str(error).split())
        raise ConfigError(path, expected="YAML", found=found, remedy="correct or remove the file") from error
    return content if isinstance(content, Mapping) else {}


def without_option(group: str) -> ConfigError:
    """Return the error for a group without a selected option."""
    remedy = f"set {group}={GROUPS[group]}" if group in GROUPS else f"omit {group}, or choose one of its options"
    return ConfigError(group, expected="one of its options", found="none", remedy=remedy)


def misfit(overrides: Sequence[str], options: Options) -> ConfigError | None:
    """Return why overrides do not compose (a group without an option, or a part that a network lacks), or None."""
    typed = dict(override.split("=", 1) for override in overrides if "=" in override)
    empty = [key for key, value in typed.items() if value == "null" and (key in GROUPS or "/" in key)]
    if empty:
        return without_option(empty[0])
    network = typed.get("network", typed.get("variant", JOINT))
    if network == JOINT or network not in options.of("network"):
        return None
    selected = {group: f"{group}={option}" for group, option in typed.items()}
    for origin in ("ablation", "experiment"):
        for group in options.overridden_by(origin, typed.get(origin, "")):
            selected.setdefault(group, f"{origin}={typed[origin]}")
    available = options.chosen({"network": [network]})
    for group, word in selected.items():
        if group.startswith("network/") and group not in available:
            return ConfigError(
                f"network={network}",
                expected=f"no choice of {group}, which only network={JOINT} has",
                found=word,
                remedy=f"drop {word} or network={network}",
            )
    return None
