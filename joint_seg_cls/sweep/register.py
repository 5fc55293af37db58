"""Registration of this package's sweepers and launcher with Hydra."""

import importlib
from typing import Any, final

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

#: Hydra accepts only plugins whose class path begins with this namespace package.
_PREFIX = "hydra_plugins.joint_seg_cls"
#: The module of each class: they import torch, which a single run's wrong key or a completion does not need.
_CLASSES = {
    "LocalLauncher": "joint_seg_cls.sweep.local",
    "SearchSweeper": "joint_seg_cls.sweep.search",
    "StudySweeper": "joint_seg_cls.sweep.sweeper",
}
#: Plugins of other packages, and the extra that installs them.
_EXTRAS = {"hydra_ray_launcher": "ray", "hydra_optuna_sweeper": "optuna"}
#: Messages of Hydra about missing base configurations, and the extra that registers them.
_NODES = {
    "Could not load 'hydra/launcher/submitit_slurm'": "slurm",
    "Could not find 'hydra/sweeper/sampler/": "optuna",
}
#: Configurations of other plugins that ours replace: theirs minimise the score and give a job no GPU.
_REPLACED = {"launcher": "ray", "sweeper": "optuna"}


def register_plugins() -> None:
    """Register the plugins and remove the configurations that ours replace; may be called repeatedly."""
    plugins = Plugins.instance()
    stored = ConfigStore.instance().repo["hydra"]
    for group, name in _REPLACED.items():
        stored.get(group, {}).pop(f"{name}.yaml", None)
    if not isinstance(plugins.class_name_to_class, _Classes):
        plugins.class_name_to_class = _Classes(plugins.class_name_to_class)
    for name, module in _CLASSES.items():
        plugins.class_name_to_class[f"{_PREFIX}.{name}"] = module


@final
class _Classes(dict[str, Any]):
    """Hydra's plugins by name, either a class or the module that has it, imported when Hydra asks for the class."""

    def __getitem__(self, name: str) -> Any:
        """Return the class."""
        found = super().__getitem__(name)
        return getattr(importlib.import_module(found), name.rpartition(".")[2]) if isinstance(found, str) else found


def missing_extra(message: str) -> str | None:
    """Return the extra that installs the plugin missing according to Hydra's message."""
    causes = _NODES | (_EXTRAS if "plugin" in message else {})
    return next((extra for words, extra in causes.items() if words in message), None)
