"""Settings of all tests: one thread, no display, no tracking service, no network access."""

import os
import socket
from collections.abc import Iterator

# Before torch, numpy and matplotlib are imported: they read these once. Two workers share two cores (`make test`), and
# One thread gives the same order of summation everywhere. Programs started by a test inherit these.
os.environ |= {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "WANDB_MODE": "disabled",
    "COLUMNS": "120",
    "SQLALCHEMY_SILENCE_UBER_WARNING": "1",  # MONAI imports Optuna 2, which needs SQLAlchemy 1.4
}
for name in ("HYDRA_FULL_ERROR", "FORCE_COLOR"):
    os.environ.pop(name, None)

import numpy as np  # noqa: E402
import pytest  # noqa: E402

#: The slowest files, which start first so that no worker idles at the end.
LONG = (
    "training/test_run.py",
    "training/test_tracking.py",
    "frame/test_wheel.py",
    "frame/test_demo.py",
    "sweep/test_sweeps.py",
    "report/",
    "commands/",
    "config/",
    "runs/",
    "sweep/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files first, whole files together."""
    ranks = {item: [f"tests/{name}" in item.nodeid for name in (*LONG, "")] for item in items}
    items.sort(key=lambda item: ranks[item].index(True))


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Refuse connections that leave this machine: a test that needs one would pass here and fail elsewhere."""
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0]) if isinstance(address, tuple) else str(address)
            if not (host.startswith("127.") or host in ("localhost", "::1")):
                pytest.fail(f"a test tried to reach {host}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_here)
        yield


@pytest.fixture
def jsc(capfd: pytest.CaptureFixture[str]):
    """Return a function that runs a command in this process and gives (exit code, standard output, standard error)."""
    from joint_seg_cls.cli.main import main

    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        try:
            main(list(words))
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        return code, out, err

    return run


SIDE = 16


def write_store(
    folder, subjects=8, modalities=("flair",), disease=("MS", "NMOSD"), seed=0, side=SIDE, no_mask=(), no_disease=()
):
    """Write a prepared store of tiny scans, each with a bright lesion: the first disease's low, the second's high.

    The subjects whose numbers stand in ``no_mask`` and ``no_disease`` lack that label.
    """
    from joint_seg_cls.scan import (  # not before the types are watched
        Geometry,
        Grid,
        PreparedCase,
        write_case,
        write_store_record,
    )

    rng = np.random.default_rng(seed)
    native = Grid((20, 21, 22), np.diag([-1.5, -1.5, 1.5, 1.0]))
    geometry = Geometry(native, native.canonical().resized((side, side, side)))
    names = []
    for number in range(subjects):
        kind = number % len(disease)
        image = rng.normal(0, 1, (len(modalities), side, side, side)).astype(np.float32)
        lesion = np.zeros((side, side, side), bool)
        start = 3 + 7 * kind
        lesion[start : start + 3, 5:9, 5:9] = True
        image[:, lesion] += 4
        native_lesion = geometry.to_native(lesion, linear=False)
        names.append(f"s{number}")
        case = PreparedCase(
            folder / names[-1],
            names[-1],
            names[-1],
            None,
            None if number in no_disease else disease[kind],
            number not in no_mask,
            f"key{number}",
            geometry,
        )
        write_case(
            case,
            image=image,
            brain_mask=np.ones_like(lesion),
            lesion_mask=None if number in no_mask else lesion,
            lesion_mask_native=None if number in no_mask else native_lesion,
        )
    settings = {
        "_target_": "joint_seg_cls.preprocess.Pipeline",
        "brain": {"_target_": "joint_seg_cls.preprocess.NoExtraction"},
        "bias_field": {"_target_": "joint_seg_cls.preprocess.NoBiasField"},
        "registration": {"_target_": "joint_seg_cls.preprocess.ByHeader"},
        "layout": {"_target_": "joint_seg_cls.preprocess.CropResize", "image_size": side},
        "intensity": {"_target_": "joint_seg_cls.preprocess.ZScore", "over": "brain"},
        "raters": "intersection",
        "lesion_value": None,
    }
    kinds = {"classes": disease, "modalities": modalities, "model_shape": [side] * 3}
    write_store_record(folder, settings=settings, cases=names, **kinds)
    return folder


@pytest.fixture
def edit_case():
    """Return a function that changes the record of a prepared case, and takes its arrays as they are now."""
    from dataclasses import replace

    from joint_seg_cls.scan import read_case, write_labels

    return lambda folder, **changes: write_labels(replace(read_case(folder), checksums={}, **changes))


@pytest.fixture
def make_store():
    return write_store


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "store")
