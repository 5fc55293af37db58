"""What cannot be combined is said in a sentence, before any data is read."""

import re
from collections.abc import Mapping, Sequence

from omegaconf import DictConfig, OmegaConf

from joint_seg_cls.commands.build import build, plain
from joint_seg_cls.errors import ConfigError

JOINT = "joint"
_NO_GROUP = re.compile(r"(?:In '(?P<origin>\w+)/(?P<option>\w+)': )?Could not override '(?P<group>network/\w+)'")
_SEARCHES = "optuna"


def refuse_misfits(config: DictConfig, choices: Mapping[str, str | None]) -> None:
    """Refuse parts that do not go together. The network is built without memory, so this takes no time.

    Raises:
        ConfigError: or another input error, as the parts say it.
    """
    _refuse_cross_task_choice(choices)
    _refuse_missing_validation(config, choices)
    import torch

    with torch.device("meta"):
        build(plain(config.network))
    build(plain(config.loss))


def misfit(message: str, overrides: Sequence[str]) -> ConfigError | None:
    """Return what an error of the composition means where a part of the joint network was asked of another."""
    found = _NO_GROUP.search(message)
    typed = dict(override.split("=", 1) for override in overrides if "=" in override)
    network = typed.get("network", typed.get("variant", JOINT))
    if found is None or network == JOINT:
        return None
    group = found["group"]
    asked = f"{found['origin']}={found['option']}" if found["origin"] else f"{group}={typed.get(group)}"
    return ConfigError(
        f"network={network}",
        expected=f"no choice of {group}, which only network={JOINT} has",
        found=asked,
        remedy=f"drop {asked} or network={network}",
    )


def _refuse_cross_task_choice(choices: Mapping[str, str | None]) -> None:
    network, ablation = choices.get("network"), choices.get("ablation")
    if network != JOINT and ablation == "no_cross":
        raise ConfigError(
            f"network={network}",
            expected=f"no ablation, since all are of network={JOINT}",
            found=f"ablation={ablation}",
            remedy=f"drop ablation={ablation} or network={network}",
        )


def _refuse_missing_validation(config: DictConfig, choices: Mapping[str, str | None]) -> None:
    """Refuse what reads an inner validation split where the protocol makes none."""
    if config.data.validation_fraction > 0 or choices.get("data/folds") == "file":
        return
    readers = {
        "the search's objective, val/score": choices.get("hydra/sweeper") == _SEARCHES,
        "protocol.weights=best": OmegaConf.select(config, "protocol.weights") == "best",
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
