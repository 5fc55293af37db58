"""Reading ``config.yaml`` of a run folder as plain values, without resolving interpolations."""

from typing import Any

import yaml

from joint_seg_cls.errors import CheckpointError
from joint_seg_cls.training import RunFolder, not_plain

#: Maximum size of the file in bytes; the files of this program have about ten thousand.
_MOST_BYTES = 2**20


def read_run_config(run: RunFolder, key: str) -> Any:
    """Return one key of a run's configuration; None if the key is missing.

    Raises:
        CheckpointError: the file is missing or unreadable, or the value is not plain data.
    """
    try:
        if run.config.stat().st_size > _MOST_BYTES:
            raise _refusal(run, f"a file of more than {_MOST_BYTES:,} bytes")
        content = yaml.safe_load(run.config.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            run.path,
            expected="a run folder with config.yaml",
            found="none",
            remedy="name the run folder, or give cohort=",
        ) from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise _refusal(run, f"a damaged file ({type(error).__name__})") from error
    if not isinstance(content, dict):
        raise _refusal(run, "an empty file" if content is None else f"a {type(content).__name__}")
    if (fault := not_plain(content.get(key))) is not None:
        raise _refusal(run, f"{fault} in {key}")
    return content.get(key)


def _refusal(run: RunFolder, found: str) -> CheckpointError:
    return CheckpointError(
        run.config,
        expected="the configuration of a run, as plain values",
        found=found,
        remedy="copy it again from the original run folder",
    )
