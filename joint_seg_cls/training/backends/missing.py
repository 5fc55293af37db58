"""What to install where an optional tracking service is missing."""


def missing_extra(extra: str) -> ModuleNotFoundError:
    """Return an error that says how to install the service."""
    return ModuleNotFoundError(f'{extra} is not installed: pip install "joint_seg_cls[{extra}]"')
