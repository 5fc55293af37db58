"""Which variant a configuration is: the ablation or network that it amounts to, and the groups chosen besides."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, final

from joint_seg_cls.config.compose import VARIANT, Composer, choosing, options_chosen
from joint_seg_cls.config.tree import as_written

JOINT = "joint"
_Options = dict[str, list[str]]


@final
@dataclass(frozen=True)
class Variant:
    """What a list of overrides amounts to, single values aside.

    Args:
        base: the ablation, or the network where that is not the joint one.
        groups: the options chosen besides, as pairs of group and option.
        words: overrides that compose to the same.
    """

    base: str
    groups: tuple[tuple[str, str], ...]
    words: tuple[str, ...]


def variant_of(overrides: Iterable[str], compose: Composer, changes_result: Callable[[str], bool]) -> Variant:
    """Return the variant that ``overrides`` choose, the same for all lists that choose the same.

    Options that change nothing are left out; options that together are an ablation are taken for it.
    """
    default = compose()
    chosen = options_chosen((each for each in overrides if not each.startswith("hydra")), default.choices)
    chosen = {group: options for group, options in chosen.items() if changes_result(group)}
    _name_variant(chosen, compose)
    chosen = _without_idle(chosen, compose, changes_result)
    if _choices(chosen, compose).get("network") == JOINT:
        chosen = _with_ablation_named(chosen, compose, changes_result)
    return _variant(chosen, compose)


def _variant(chosen: _Options, compose: Composer) -> Variant:
    choices = _choices(chosen, compose)
    network, ablation = str(choices.get("network")), str(choices.get("ablation"))
    base, in_base = (ablation, {"ablation", "network"}) if network == JOINT else (network, {"network"})
    besides = tuple(
        (group, option) for group, options in sorted(chosen.items()) if group not in in_base for option in options
    )
    return Variant(base, besides, tuple(choosing(chosen)))


def _name_variant(chosen: _Options, compose: Composer) -> None:
    """Say ``variant`` by the group that it stands for; that group's own choice is the stronger."""
    for option in chosen.pop(VARIANT, []):
        if option != "null":
            chosen.setdefault("ablation" if option in compose.options("ablation") else "network", [option])


def _without_idle(chosen: _Options, compose: Composer, changes_result: Callable[[str], bool]) -> _Options:
    """Leave out options that change nothing; an ablation's parts before the ablation."""
    target = _content(chosen, compose, changes_result)
    before: _Options = {}
    while before != chosen:
        before = chosen
        for group in sorted(chosen, key=lambda each: (each in ("ablation", "network"), each)):
            for option in list(chosen[group]):
                rest = chosen | {group: [each for each in chosen[group] if each != option]}
                if _content(rest, compose, changes_result) == target:
                    chosen = rest
    return {group: options for group, options in chosen.items() if options}


def _with_ablation_named(chosen: _Options, compose: Composer, changes_result: Callable[[str], bool]) -> _Options:
    """Say exchanged parts of network and loss by the ablation that exchanges most of them."""
    others = {group: options for group, options in chosen.items() if not _is_part(group) and group != "ablation"}
    exchanged = _exchanged(_choices(chosen, compose), _choices(others, compose))
    parts_of = {ablation: compose.exchanged_by(ablation) for ablation in compose.options("ablation")}
    fitting = [each for each, parts in parts_of.items() if parts and parts.items() <= exchanged.items()]
    if not fitting:
        return chosen
    ablation = min(fitting, key=lambda each: (-len(parts_of[each]), compose.is_own(each), each))
    parts = parts_of[ablation]
    rest = {group: [option] for group, option in exchanged.items() if group not in parts}
    named = others | rest | {"ablation": [ablation]}
    same = _content(named, compose, changes_result) == _content(chosen, compose, changes_result)
    return named if same else chosen


def _exchanged(choices: Mapping[str, str | None], plain: Mapping[str, str | None]) -> dict[str, str]:
    return {group: str(option) for group, option in choices.items() if _is_part(group) and option != plain.get(group)}


def _is_part(group: str) -> bool:
    return group.startswith(("network/", "loss/"))


def _choices(chosen: _Options, compose: Composer) -> Mapping[str, str | None]:
    return compose(choosing(chosen)).choices


def _content(chosen: _Options, compose: Composer, changes_result: Callable[[str], bool]) -> Any:
    """Return what options decide of a run's numbers, interpolations as they stand."""
    return _decisive(as_written(compose(choosing(chosen)).config), changes_result)


def _decisive(value: Any, changes_result: Callable[[str], bool], prefix: str = "") -> Any:
    if not isinstance(value, Mapping):
        return value
    return {
        key: _decisive(child, changes_result, f"{prefix}{key}.")
        for key, child in value.items()
        if changes_result(f"{prefix}{key}")
    }
