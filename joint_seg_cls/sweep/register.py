"""Registration of this package's sweepers and launcher with Hydra."""

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from joint_seg_cls.sweep.local import LocalLauncher
from joint_seg_cls.sweep.search import SearchSweeper
from joint_seg_cls.sweep.sweeper import StudySweeper

#: Hydra accepts only plugins whose class path begins with this namespace package.
_PREFIX = "hydra_plugins.joint_seg_cls"
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
    for plugin in (LocalLauncher, SearchSweeper, StudySweeper):
        plugins.register(plugin)
        plugins.class_name_to_class[f"{_PREFIX}.{plugin.__name__}"] = plugin


def missing_extra(message: str) -> str | None:
    """Return the extra that installs the plugin missing according to Hydra's message."""
    causes = _NODES | (_EXTRAS if "plugin" in message else {})
    return next((extra for words, extra in causes.items() if words in message), None)
