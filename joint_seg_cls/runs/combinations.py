"""Checks of invalid combinations of options, before any data is read."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from joint_seg_cls.config.build import build
from joint_seg_cls.config.compose import VARIANT, options_chosen
from joint_seg_cls.config.options import Options
from joint_seg_cls.config.tree import Config, get, plain
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.runs.variant import JOINT

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
_SEARCHES = "optuna"


def refuse_misfits(
    config: Config, choices: Mapping[str, str | None], overrides: Sequence[str], outline: Callable[[], Any]
) -> None:
    """Refuse options that cannot be combined.

    Args:
        config: the composed configuration.
        choices: the option of each group.
        overrides: the command line's overrides.
        outline: builds the network without allocating its weights.

    Raises:
        ConfigError: or another input error raised by a part.
    """
    _refuse_two_variants(choices, overrides)
    _refuse_ablated_baseline(choices)
    refuse_missing_validation(config, choices)
    from joint_seg_cls.networks import declared_tasks

    _refuse_cross_task_of_one(declared_tasks(outline()), choices, overrides)
    build(plain(config.loss))


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


def _refuse_two_variants(choices: Mapping[str, str | None], overrides: Sequence[str]) -> None:
    """Refuse a variant combined with an ablation or network, since one of them would be ignored."""
    chosen = options_chosen(overrides, [*choices, "ablation", "network"])  # `choices` has one option per group
    for group in (VARIANT, "ablation", "network"):
        if len(options := chosen.get(group, [])) > 1:
            raise ConfigError(
                f"{group}=[{','.join(options)}]",
                expected="one option per training",
                found=str(len(options)),
                remedy=f"sweep over them: jsc train -m {group}={','.join(options)}",
            )
    variants = [option for option in chosen.get(VARIANT, []) if option != "null"]
    for group in ("ablation", "network"):
        if variants and group in chosen:
            other = f"{group}={','.join(chosen[group])}"
            raise ConfigError(
                f"variant={','.join(variants)}",
                expected="no ablation or network beside it, since a variant selects both",
                found=other,
                remedy=f"drop {other}, or set the variant alone (a study experiment sweeps over variant)",
            )


def _refuse_ablated_baseline(choices: Mapping[str, str | None]) -> None:
    network, ablation = choices.get("network"), choices.get("ablation")
    if network != JOINT and ablation == "no_cross":
        raise ConfigError(
            f"network={network}",
            expected=f"no ablation, since all ablations modify network={JOINT}",
            found=f"ablation={ablation}",
            remedy=f"drop ablation={ablation} or network={network}",
        )


def _refuse_cross_task_of_one(
    tasks: frozenset[str] | None, choices: Mapping[str, str | None], overrides: Sequence[str]
) -> None:
    """Refuse a cross-task loss for a network with one task, or without location maps.

    A baseline that was not explicitly combined with the loss has a term of 0.
    """
    chosen, is_joint = choices.get("loss/cross_task"), choices.get("network") == JOINT
    is_asked = is_joint or any(word.startswith("loss/cross_task=") for word in overrides)
    if chosen in (None, "none") or tasks is None or len(tasks) > 1 or not is_asked:
        return
    what = f"ablation={choices.get('ablation')}" if is_joint else f"network={choices.get('network')}"
    raise ConfigError(
        f"loss/cross_task={chosen}",
        expected="a network with a lesion map and location maps, which it compares",
        found=f"{what}, which learns only {' '.join(tasks)}",
        remedy=f"drop loss/cross_task={chosen} or {what}",
    )


def refuse_missing_validation(config: Config, choices: Mapping[str, str | None]) -> None:
    """Refuse options that need an inner validation split if the protocol has none."""
    fraction = get(config, "data.validation_fraction")
    if fraction is None or fraction > 0 or choices.get("data/folds") == "file":
        return
    readers = {
        "the search's objective, val/score": choices.get("hydra/sweeper") == _SEARCHES,
        "protocol.weights=best": get(config, "protocol.weights") == "best",
        f"protocol.monitor={config.protocol.monitor}": str(config.protocol.monitor).startswith("val/"),
    }
    for reader, is_asked in readers.items():
        if is_asked:
            raise ConfigError(
                f"protocol={choices.get('protocol')}",
                expected=f"an inner validation split for {reader}",
                found="none (data.validation_fraction=0)",
                remedy="use protocol=strict, or a larger data.validation_fraction",
            )
