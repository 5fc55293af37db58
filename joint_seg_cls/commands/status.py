"""``jsc status``: the progress of a study's runs, from their folders."""

import sys
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from joint_seg_cls.config.keys import flag
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.sweep.progress import runs_of, view, watch
from joint_seg_cls.sweep.study import FOLDER, Study, find_study

#: Width of a table outside a terminal: enough for long names and ten folds.
_WIDE = 400


def status(config: DictConfig) -> None:
    """Print the table of a study, or of every collection's runs; update it on a terminal with ``watch=true``."""
    is_named = config.study is not None
    found = [find_study(str(config.study), config.runs, config.collection)] if is_named else _collections(config)
    console = Console() if sys.stdout.isatty() else Console(width=_WIDE, no_color=True, highlight=False)
    if flag(config, "watch") and console.is_terminal:
        for study in found:
            watch(study, every_s=float(config.every_s))
        return
    for study in found:
        console.print(view(study))


def _collections(config: DictConfig) -> list[Study]:
    root = Path(config.runs).expanduser()
    folders = [root / config.collection] if config.collection else sorted(root.glob("*"))
    found = [study for study in map(runs_of, folders) if study.runs]
    if not found:
        raise ConfigError(
            root,
            expected="run folders",
            found="none",
            remedy="use the same runs= as for jsc train, or start a training",
        )
    for folder in folders:
        for path in sorted((folder / FOLDER).glob("*.json")):
            print(f"jsc status study={path.stem}", file=sys.stderr)
    return found
