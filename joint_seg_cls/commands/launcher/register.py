"""The sweeper and the launcher of this package made known to Hydra."""

from hydra.core.plugins import Plugins

from joint_seg_cls.commands.launcher.local import LocalLauncher
from joint_seg_cls.commands.launcher.sweeper import StudySweeper

#: Hydra takes no plugin that does not say it lies in this package of packages, so ours go by such a name.
_PREFIX = "hydra_plugins.joint_seg_cls"
#: Plugins of other packages, and the extra that installs them.
_EXTRAS = {"hydra_ray_launcher": "ray", "hydra_submitit_launcher": "slurm", "hydra_optuna_sweeper": "optuna"}


def register_plugins() -> None:
    """Register both; calling it again changes nothing."""
    plugins = Plugins.instance()
    for plugin in (LocalLauncher, StudySweeper):
        plugins.register(plugin)
        plugins.class_name_to_class[f"{_PREFIX}.{plugin.__name__}"] = plugin


def missing_extra(message: str) -> str | None:
    """Return the extra that would bring the plugin that Hydra says it does not know."""
    return next((extra for package, extra in _EXTRAS.items() if package in message), None)
