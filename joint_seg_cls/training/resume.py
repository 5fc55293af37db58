"""Check of a checkpoint before resuming."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from joint_seg_cls.errors import CheckpointError, ConfigError
from joint_seg_cls.training.archive import read_archive
from joint_seg_cls.training.checkpoint import parse_checkpoint


def require_resumable(path: Path, module: nn.Module) -> None:
    """Refuse a checkpoint from which ``module`` cannot resume.

    Raises:
        CheckpointError: as :func:`read_checkpoint`; or a weight, the optimiser or the loop state is missing.
    """
    content = read_archive(path)
    parse_checkpoint(content, path)
    weights, own = content["state_dict"], module.state_dict()
    for names, found in ((own.keys() - weights.keys(), "without"), (weights.keys() - own.keys(), "with another,")):
        if names:
            raise _refusal(path, f"the {len(own)} weights of this network", f"one {found} {min(names)}")
    for name, value in own.items():
        there = weights[name]
        if isinstance(value, Tensor) and (not isinstance(there, Tensor) or there.shape != value.shape):
            found = f"shape {tuple(there.shape)}" if isinstance(there, Tensor) else f"a {type(there).__name__}"
            raise _refusal(path, f"{name} of shape {tuple(value.shape)}", found)
    _require_optimizer(content.get("optimizer_states"), len(list(module.parameters())), path)
    loops = content.get("loops")
    if not isinstance(loops, dict) or not isinstance(loops.get("fit_loop"), dict):
        raise _refusal(path, "the state of the training loop (loops.fit_loop)", "none")
    for key, kind, expected in (
        ("global_step", int, "the number of steps (global_step)"),
        ("callbacks", dict, "the states of callbacks"),
        ("pytorch-lightning_version", str, "Lightning's version"),
        ("lr_schedulers", list, "a list of schedules (lr_schedulers)"),
    ):
        if type(content.get(key)) is not kind:
            raise _refusal(path, expected, "none" if key not in content else f"a {type(content[key]).__name__}")


def _require_optimizer(states: Any, parameters: int, path: Path) -> None:
    expected = f"the state of one optimiser for {parameters} parameters (optimizer_states)"
    if not isinstance(states, list) or len(states) != 1 or not isinstance(states[0], dict):
        raise _refusal(path, expected, "none" if not states else "another record")
    groups, state = states[0].get("param_groups"), states[0].get("state")
    if not isinstance(groups, list) or not isinstance(state, dict):
        raise _refusal(path, expected, "a record without param_groups or state")
    named = [each.get("params") for each in groups if isinstance(each, dict)]
    found = sum(len(each) for each in named if isinstance(each, list))
    if found != parameters:
        raise _refusal(path, expected, f"one for {found}")


def _refusal(path: Path, expected: str, found: str) -> CheckpointError:
    return CheckpointError(
        path,
        expected=f"a checkpoint to resume from, with {expected}",
        found=found,
        remedy="delete it to train this run again, or restore a backup",
    )


def refuse_other_state(network: nn.Module) -> None:
    """Refuse a network with non-tensor state, which is not read from checkpoints.

    Raises:
        ConfigError: a value of its ``state_dict`` is not a tensor.
    """
    for name, value in network.state_dict().items():
        if not isinstance(value, Tensor):
            raise ConfigError(
                "network",
                expected="a state_dict of tensors",
                found=f"{name} of type {type(value).__name__}",
                remedy="return a tensor from get_extra_state, or remove the value from the state",
            )
