"""Values of keys that several commands share, checked before any work begins."""

from omegaconf import DictConfig, ListConfig, OmegaConf

from joint_seg_cls.errors import ConfigError


def names(config: DictConfig, key: str, *, least: int) -> list[str]:
    """Return the different names that ``key`` lists.

    Raises:
        ConfigError: it is no list, names something twice, or names fewer than ``least``.
    """
    value = OmegaConf.select(config, key)
    found = [str(each) for each in value] if isinstance(value, ListConfig) else None
    if found is None or len(set(found)) < max(least, len(found)) or not all(found):
        default = "MS,NMOSD" if key == "classes" else "flair"
        raise ConfigError(
            key,
            expected=f"a list of at least {least} different names",
            found=str(value) if found is None else f"[{','.join(found)}]",
            remedy=f"write {key}=[{default}]",
        )
    return found


def workers(config: DictConfig) -> int:
    """Return how many processes share the work; 0 and 1 mean this one alone.

    Raises:
        ConfigError: it is no whole number, or below 0.
    """
    value = config.workers
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigError("workers", expected="a whole number, 0 or more", found=repr(value), remedy="correct workers=")
    return value
