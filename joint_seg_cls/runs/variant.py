"""Which variant a configuration is: the ablation or network that it amounts to, and the groups chosen besides."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import final

from joint_seg_cls.config.compose import choosing, options_chosen
from joint_seg_cls.config.options import Options
from joint_seg_cls.config.schema import changes_result

JOINT = "joint"
#: Groups that are named otherwise than by a typed option.
_NAMED_APART = ("variant", "ablation", "network", "experiment")


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


def variant_of(
    overrides: Iterable[str],
    choices: Mapping[str, str | None],
    options: Options,
) -> Variant:
    """Return the variant that a composition is, the same for all lists of overrides that choose the same.

    Options that change nothing are left out. Parts of network and loss that are exchanged are named by the ablation
    that exchanges most of them.

    Args:
        overrides: those of the composition.
        choices: the option that each group ended with.
        options: the files of the options.
    """
    final = {group: "null" if option is None else str(option) for group, option in choices.items()}
    typed = options_chosen((each for each in overrides if not each.startswith("hydra")), options.groups())
    typed = {group: found for group, found in typed.items() if changes_result(group)}
    experiments = [each for each in typed.get("experiment", []) if _is_decisive(each, options)]
    brought = options.chosen({"experiment": experiments})  # what stands without the groups typed besides
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
    if ablation != base and ablation != brought["ablation"]:  # of a network that is not the joint one
        groups["ablation"] = [ablation]
    besides = tuple((group, option) for group, found in sorted(groups.items()) for option in found)
    return Variant(base, besides, tuple(choosing(words)))


def _base(
    final: Mapping[str, str],
    brought: Mapping[str, str],
    experiments: list[str],
    options: Options,
) -> tuple[str, dict[str, str], str]:
    """Return the name of ablation or network, the parts exchanged besides, and the ablation to compose with."""
    asked = {"experiment": experiments, "network": [final["network"]], "loss": [final["loss"]]}
    ablation = final["ablation"]
    is_more = ablation != brought["ablation"] and _is_more(ablation, options)
    usual = options.chosen(asked | ({"ablation": [ablation]} if is_more else {}))
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
    """Return whether an experiment changes more than what is swept, shown or kept."""
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
