"""A small cohort on disk, made once, and the shipped presets."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from joint_seg_cls.commands.build import build
from joint_seg_cls.commands.main import config_folder
from joint_seg_cls.phantom import Cohort, write_cohort


@pytest.fixture(scope="session")
def preset() -> Callable[..., Cohort]:
    """Return a function that composes a shipped preset with overrides."""

    def composed(name: str, *overrides: str) -> Cohort:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            config = compose("phantom", [f"phantom={name}", "out=unused", *overrides])
        return build(config.phantom)

    return composed


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    """Return a function that writes a cohort with the arguments that matter here."""

    def written(cohort: Cohort, out: Path, *, readers: int = 1, workers: int = 0, spacing_mm: int = 2) -> Path:
        return write_cohort(
            cohort,
            out,
            spacing_mm=spacing_mm,
            readers=readers,
            workers=workers,
            command="jsc phantom",
        )

    return written


@pytest.fixture(scope="session")
def digests() -> Callable[[Path], dict[str, str]]:
    """Return a function that hashes every file below a folder."""

    def hashed(folder: Path) -> dict[str, str]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    return hashed


@pytest.fixture(scope="session")
def visits_table(preset, write, tmp_path_factory) -> Path:
    """Return the table of three lifelike subjects with two visits and two readers each."""
    return write(preset("clear", "subjects=3", "visits=2", "seed=4"), tmp_path_factory.mktemp("visits"), readers=2)
