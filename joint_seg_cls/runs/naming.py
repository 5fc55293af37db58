"""Run folders, named by the settings that change results, independent of time and of the order of overrides."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from joint_seg_cls.config.compose import Composer, keys_set
from joint_seg_cls.config.schema import OF_THE_MACHINE, PATHS, SHARES, changes_result, is_named
from joint_seg_cls.config.tree import Config, as_written, flatten, get, plain, put, replaced
from joint_seg_cls.runs.variant import variant_of
from joint_seg_cls.training import is_pretrained

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
        choices: the option of each group.
        overrides: the overrides of the composition.
        compose: composes the selected groups without single values, as the reference.
        labels: other facts that change results, as ``key-value``.
    """
    overrides = list(overrides)
    variant = variant_of(overrides, choices, compose.options)
    settings = {_suffix(group, option) for group, option in variant.groups}
    if any(map(is_named, keys_set(overrides, compose.options.groups()))):
        settings |= {_suffix(key, value) for key, value in _differences(config, compose(variant.words).config)}
    return named_location(config, variant.base, [*sorted(settings), *labels])


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
