"""Run folders, named by the settings that change results, independent of time and of the order of overrides."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from joint_seg_cls.config.build import Config, as_written, flatten, get, plain, put, replaced
from joint_seg_cls.config.compose import Composer, choosing, keys_set, options_chosen
from joint_seg_cls.config.options import JOINT, Options
from joint_seg_cls.config.schema import OF_THE_MACHINE, PATHS, SHARES, changes_result, is_named
from joint_seg_cls.training import is_pretrained

#: Groups that are not named by a selected option.
_NAMED_APART = ("variant", "ablation", "network", "experiment")
_LONGEST = 80
#: Values that look like local paths appear in a name as a digest, since names may be published.
_SOMEWHERE = re.compile(r"(?:^|[^\w.])(?:/|~|\.{1,2}/|\\\\)\w|(?:^|\W)[A-Za-z]:[\\/]")


@final
@dataclass(frozen=True)
class RunLocation:
    """The folder of a run: ``<runs>/<collection>/<variant>/fold-<fold>_seed-<seed>``.

    Args:
        base: the ablation, or the network if it is not the joint one.
        settings: the other settings that change results, as ``key-value``.
    """

    runs: str
    collection: str
    base: str
    settings: tuple[str, ...]
    fold: int | str
    seed: int

    @property
    def variant(self) -> str:
        """The ablation or network and the other settings; a long name ends in a digest."""
        name = "+".join([self.base, *self.settings])
        return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 9]}-{_digest(name, 8)}"

    @property
    def folder(self) -> str:
        """The run folder, relative to its collection."""
        return f"{self.variant}/fold-{self.fold}_seed-{self.seed}"

    @property
    def collection_path(self) -> Path:
        """The collection's folder."""
        return Path(self.runs).expanduser() / self.collection

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.collection_path / self.folder


def locate(
    config: Config, choices: Mapping[str, str | None], overrides: Iterable[str], compose: Composer, *labels: str
) -> RunLocation:
    """Return the folder of a composed configuration.

    Equal configurations have equal folders: options without effect are omitted, an ablation is recognised by the
    parts that it replaces, and values are compared with the defaults of the selected groups.

    Args:
        config: the configuration as composed, its paths absolute (:func:`absolute_paths`).
        compose: composes the selected groups without single values, as the reference.
        labels: other facts that change results, as ``key-value``.
    """
    overrides = list(overrides)
    base, groups, words = variant_of(overrides, choices, compose.options)
    settings = {_suffix(group, option) for group, option in groups}
    if any(map(is_named, keys_set(overrides, compose.options.groups()))):
        settings |= {_suffix(key, value) for key, value in _differences(config, compose(words).config)}
    return named_location(config, base, [*sorted(settings), *labels])


def named_location(config: Config, base: str, settings: Sequence[str]) -> RunLocation:
    """Return the location of a run whose name is already known."""
    return RunLocation(str(config.runs), str(config.collection), base, tuple(settings), config.fold, config.seed)


def absolute_paths(config: Config) -> None:
    """Make the configuration's paths absolute, so that the run folder does not depend on the working directory."""
    for key in PATHS:
        if (path := get(config, key)) is not None and not (key == "init_from" and is_pretrained(path)):
            put(config, key, str(Path(path).expanduser().resolve()))


def identity(config: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
    """Return all keys that change results, flattened, and ``facts`` (hashes of data and split)."""
    return {key: value for key, value in flatten(config) if changes_result(key)} | facts


def _differences(config: Config, reference: Config) -> list[tuple[str, str]]:
    """Return the keys and values, as text, in which ``config`` differs from ``reference``.

    Omitted are keys that only follow another key by interpolation, and keys that were set to the value which the
    reference's interpolation gives.
    """
    own, other = (dict(flatten(as_written(each))) for each in (config, reference))
    found = []
    for key in sorted(own.keys() | other.keys()):
        typed_alike = key in own and key in other and own[key] == other[key] and type(own[key]) is type(other[key])
        if typed_alike or not is_named(key):
            continue
        value = _value(config, key) if key in own else "removed"
        if (
            key in OF_THE_MACHINE
            or key not in other
            or key not in own
            or value != _value(replaced(config, key, other[key]), key)
        ):
            found.append((key, value))
    return found


def _value(config: Config, key: str) -> str:
    """Return a value as text, equal exactly for equal values."""
    value = get(config, key)
    if key in SHARES:
        return json.dumps(value)
    return _text(plain(value))


def _text(value: Any) -> str:
    """Return a plain word unchanged and any other value as JSON."""
    if isinstance(value, str) and re.fullmatch(r"(?!(?:null|true|false|removed|NaN|Infinity)$)[A-Za-z_].*", value):
        return value
    return json.dumps(_evened(value), sort_keys=True, default=str)


def _evened(value: Any) -> Any:
    """Return whole floats as integers, at any depth, since they give the same results."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    if isinstance(value, list):
        return [_evened(each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): _evened(each) for key, each in value.items()}
    return value


def _suffix(key: str, value: str) -> str:
    if _SOMEWHERE.search(value):
        return f"{key.replace('/', '-')}-{_digest(value, 6)}"
    safe = re.sub(r"[^\w.-]+", "-", value).strip("-")
    stem = f"{key.replace('/', '-')}-{safe}"
    return stem if safe == value else f"{stem}-{_digest(value, 6)}"


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def variant_of(
    overrides: Iterable[str], choices: Mapping[str, str | None], options: Options
) -> tuple[str, list[tuple[str, str]], list[str]]:
    """Return the variant of a composition, without single values; equal for equal selections.

    It consists of the base (the ablation, or the network if it is not the joint one), the other selected options as
    pairs of group and option, and overrides that compose to the same configuration. Options without effect are omitted.
    Replaced parts of network and loss are named by the ablation that replaces most of them.
    """
    final = {group: "null" if option is None else str(option) for group, option in choices.items()}
    typed = options_chosen((each for each in overrides if not each.startswith("hydra")), options.groups())
    typed = {group: found for group, found in typed.items() if changes_result(group)}
    experiments = [each for each in typed.get("experiment", []) if _is_decisive(each, options)]
    brought = options.chosen({"experiment": experiments})  # defaults without the other typed groups
    groups = {
        group: found
        for group, found in typed.items()
        if group not in _NAMED_APART and not _is_part(group) and final.get(group) != brought.get(group)
    }
    if experiments:
        groups["experiment"] = experiments
    base, parts, ablation = _base(final, brought, experiments, options)
    groups |= {group: [option] for group, option in parts.items()}
    words = groups | {"ablation": [ablation]} if ablation != brought["ablation"] else dict(groups)
    if final["network"] != brought["network"]:
        words["network"] = [final["network"]]
    if ablation != base and ablation != brought["ablation"]:  # an ablation of another network
        groups["ablation"] = [ablation]
    besides = [(group, option) for group, found in sorted(groups.items()) for option in found]
    return base, besides, choosing(words)


def _base(
    final: Mapping[str, str], brought: Mapping[str, str], experiments: list[str], options: Options
) -> tuple[str, dict[str, str], str]:
    """Return the name of the ablation or network, the other replaced parts, and the ablation to compose with."""
    selection = {"experiment": experiments, "network": [final["network"]], "loss": [final["loss"]]}
    ablation = final["ablation"]
    is_more = ablation != brought["ablation"] and _is_more(ablation, options)
    usual = options.chosen(selection | ({"ablation": [ablation]} if is_more else {}))
    exchanged = {group: each for group, each in final.items() if _is_part(group) and each != usual.get(group)}
    if not is_more:
        ablation = brought["ablation"]
    if final["network"] != JOINT:
        return final["network"], exchanged, ablation
    if is_more:
        return ablation, exchanged, ablation
    parts_of = {each: options.overridden_by("ablation", each) for each in options.of("ablation")}
    fitting = [
        each
        for each, parts in parts_of.items()
        if parts and parts.items() <= exchanged.items() and not _is_more(each, options)
    ]
    if fitting:
        ablation = min(fitting, key=lambda each: (-len(parts_of[each]), options.is_own("ablation", each), each))
        exchanged = {group: each for group, each in exchanged.items() if group not in parts_of[ablation]}
    return ablation, exchanged, ablation


def _is_decisive(experiment: str, options: Options) -> bool:
    """Return whether an experiment changes results, beyond what is swept, shown or stored."""
    if experiment == "null":
        return False
    groups = options.overridden_by("experiment", experiment)
    return any(map(changes_result, [*groups, *options.keys("experiment", experiment)]))


def _is_more(ablation: str, options: Options) -> bool:
    """Return whether an ablation changes more than parts of network and loss."""
    others = [group for group in options.overridden_by("ablation", ablation) if not _is_part(group)]
    return any(map(changes_result, [*others, *options.keys("ablation", ablation)]))


def _is_part(group: str) -> bool:
    return group.startswith(("network/", "loss/"))
