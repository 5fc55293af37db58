"""The error for a tracking service that is not installed."""


def not_installed(extra: str) -> ModuleNotFoundError:
    """Return an error with the command that installs the service."""
    return ModuleNotFoundError(f'{extra} is not installed: pip install "joint_seg_cls[{extra}]"')
