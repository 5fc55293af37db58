"""The variant of a configuration: its ablation or network, and the other selected options."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import final

from joint_seg_cls.config.compose import choosing, options_chosen
from joint_seg_cls.config.options import Options
from joint_seg_cls.config.schema import changes_result

JOINT = "joint"
#: Groups that are not named by a selected option.
_NAMED_APART = ("variant", "ablation", "network", "experiment")


@final
@dataclass(frozen=True)
class Variant:
    """The variant of a list of overrides, without single values.

    Args:
        base: the ablation, or the network if it is not the joint one.
        groups: other selected options as pairs of group and option.
        words: overrides that compose to the same configuration.
    """

    base: str
    groups: tuple[tuple[str, str], ...]
    words: tuple[str, ...]


def variant_of(
    overrides: Iterable[str],
    choices: Mapping[str, str | None],
    options: Options,
) -> Variant:
    """Return the variant of a composition; equal for all lists of overrides with equal selections.

    Options without effect are omitted. Replaced parts of network and loss are named by the ablation that replaces most
    of them.

    Args:
        overrides: the overrides of the composition.
        choices: the final option of each group.
        options: the option files.
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
    besides = tuple((group, option) for group, found in sorted(groups.items()) for option in found)
    return Variant(base, besides, tuple(choosing(words)))


def _base(
    final: Mapping[str, str],
    brought: Mapping[str, str],
    experiments: list[str],
    options: Options,
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
