"""The sweepers and the launcher of this package made known to Hydra."""

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from joint_seg_cls.sweep.local import LocalLauncher
from joint_seg_cls.sweep.search import SearchSweeper
from joint_seg_cls.sweep.sweeper import StudySweeper

#: Hydra takes no plugin that does not say it lies in this package of packages, so ours go by such a name.
_PREFIX = "hydra_plugins.joint_seg_cls"
#: Plugins of other packages, and the extra that installs them.
_EXTRAS = {"hydra_ray_launcher": "ray", "hydra_optuna_sweeper": "optuna"}
#: Configurations that ours start from, and the extra whose plugin registers them.
_NODES = {
    "Could not load 'hydra/launcher/submitit_slurm'": "slurm",
    "Could not find 'hydra/sweeper/sampler/": "optuna",
}
#: Configurations that other plugins bring and ours replace: theirs search for the lowest score, and give a job no GPU.
_REPLACED = {"launcher": "ray", "sweeper": "optuna"}


def register_plugins() -> None:
    """Register them, and make way for our configurations of others; calling it again changes nothing."""
    plugins = Plugins.instance()
    known = ConfigStore.instance().repo["hydra"]
    for group, name in _REPLACED.items():
        known.get(group, {}).pop(f"{name}.yaml", None)
    for plugin in (LocalLauncher, SearchSweeper, StudySweeper):
        plugins.register(plugin)
        plugins.class_name_to_class[f"{_PREFIX}.{plugin.__name__}"] = plugin


def missing_extra(message: str) -> str | None:
    """Return the extra that would bring the plugin that Hydra says it does not know."""
    known = _NODES | (_EXTRAS if "plugin" in message else {})
    return next((extra for words, extra in known.items() if words in message), None)
