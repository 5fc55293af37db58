"""Settings of all tests: one thread, no display, no tracking service, no network access."""

import atexit
import importlib
import multiprocessing.util
import os
import re
import signal
import socket
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

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

# Before any module whose types are watched (pyproject.toml): what such a module is the first to import, jaxtyping
# compiles from source, which for torch, Lightning and MONAI takes longer than to load them.
for name in (
    *("torch", "lightning", "torchmetrics", "monai.networks.nets", "pandas", "nibabel", "nilearn.image"),
    *("scipy.ndimage", "scipy.optimize", "scipy.stats", "sklearn.metrics", "matplotlib.figure", "SimpleITK", "hydra"),
):
    importlib.import_module(name)

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


@pytest.fixture(autouse=True, scope="session")
def _one_composition_a_command() -> Iterator[None]:
    """Skip two compositions beside the one that a command works with: each takes as long, for hundreds of commands.

    By one Hydra looks for ``hydra.mode``, and finds None where no word sets it. By the other ``jsc train`` finds what
    groups without values give, which is the same in every command that has no configurations of its own.
    """
    from hydra._internal.hydra import Hydra

    from joint_seg_cls.config.compose import Composed, Composer

    composed, composer = Hydra.get_mode, Composer.__call__
    known: dict[tuple[str, ...], Composed] = {}

    def get_mode(self: Hydra, config_name: str | None, overrides: list[str]) -> object:
        return composed(self, config_name, overrides) if any("hydra.mode" in word for word in overrides) else None

    def compose(self: Composer, overrides: Sequence[str] = ()) -> Composed:
        key = tuple(overrides)
        if self.folders or not all(re.fullmatch(r"[a-z_/]+=\w+", word) for word in key):
            return composer(self, overrides)
        if key not in known:
            known[key] = composer(self, overrides)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Hydra, "get_mode", get_mode)
        patch.setattr(Composer, "__call__", compose)
        yield


class Forks:
    """Carry out ``jsc`` in forks of this process, which has imported everything: a fork begins to work at once."""

    def start(self, folder: Path, *words: str, log: str = "said.txt") -> int:
        """Return the number of the process that carries out ``jsc`` with these words in ``folder``."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which are not used in the fork
            process = os.fork()
        if process == 0:
            os._exit(self._carried_out(folder, words, log))
        return process

    def ended(self, process: int) -> int:
        """Wait for a process; return its exit code, or minus the signal that killed it."""
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    def run(self, folder: Path, *words: str) -> int:
        """Carry out one command to its end."""
        return self.ended(self.start(folder, *words))

    def unwatched(self, code: str, *arguments: str) -> str:
        """Return what ``code`` prints in a fork that imports this package anew, without types that are watched."""
        read, write = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            process = os.fork()
        if process == 0:
            try:
                os.dup2(write, 1)
                sys.stdout, sys.argv = open(1, "w", closefd=False), ["-c", *arguments]  # noqa: SIM115
                sys.meta_path[:] = [finder for finder in sys.meta_path if "jaxtyping" not in type(finder).__module__]
                for module in [module for module in sys.modules if module.split(".")[0] == "joint_seg_cls"]:
                    del sys.modules[module]
                exec(code, {"__name__": "__main__"})
                sys.stdout.flush()
                os._exit(0)
            except BaseException:  # noqa: BLE001 - as an interpreter does
                traceback.print_exc()
            os._exit(1)
        os.close(write)
        with os.fdopen(read, encoding="utf-8") as file:
            said = file.read()
        assert self.ended(process) == 0, said
        return said

    def _carried_out(self, folder: Path, words: tuple[str, ...], log: str) -> int:
        code = 1
        try:
            atexit._clear()  # what belongs to this process's parent
            os.setsid()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.chdir(folder)
            os.environ["JSC_FAULTS"] = str(folder)
            nothing, said = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for place, stream in enumerate((nothing, said, said)):
                os.dup2(stream, place)
            sys.stdout, sys.stderr = (open(place, "w", buffering=1, closefd=False) for place in (1, 2))  # noqa: SIM115
            warnings.resetwarnings()
            from joint_seg_cls.cli.main import main

            main(list(words))
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        except KeyboardInterrupt:  # before the command began
            code = 128 + signal.SIGINT
        except BaseException:  # noqa: BLE001 - as an interpreter does
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        atexit._run_exitfuncs()
        multiprocessing.util._exit_function()
        return code


@pytest.fixture(scope="session")
def forks() -> Forks:
    return Forks()


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


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Words of the smallest training, without a test."""
    return (
        *("network.channels=4", "tracking=none", "data.workers=0", "data.folds.count=2", "trainer.accelerator=cpu"),
        *("trainer.max_epochs=1", "evaluate=false"),
    )


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
    kinds = {"classes": list(dict.fromkeys(disease)), "modalities": modalities, "model_shape": [side] * 3}
    write_store_record(folder, settings=settings, cases=names, **kinds)
    return folder


@pytest.fixture
def edit_case():
    """Return a function that changes the record of a prepared case, and takes its arrays as they are now."""
    from dataclasses import replace

    from joint_seg_cls.scan import read_case, write_labels

    return lambda folder, **changes: write_labels(replace(read_case(folder), checksums={}, **changes))


@pytest.fixture(scope="session")
def make_store():
    return write_store


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "store")


@pytest.fixture(scope="session")
def template_head():
    """Return the template as a FLAIR of 3 mm, its brain, its grid, and two lesions: periventricular, cerebellar."""
    from joint_seg_cls.lesions import template_map
    from joint_seg_cls.scan import Grid, resample_oblique

    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = (-96.0, -132.0, -70.0)
    template, grid = template_map(), Grid((65, 77, 62), affine)
    tissue, brain = (
        resample_oblique(volume.astype(np.float32), template.grid, grid, np.eye(4), linear=True)[0]
        for volume in (template.tissue, template.masks["brain"])
    )
    brain = brain > 0.5
    image = np.where(brain, tissue, 0).astype(np.float32)
    lesions = np.zeros(grid.shape, bool)
    for place in ((19, -15, 27), (30, -60, -40)):
        x, y, z = np.round(np.linalg.solve(affine, [*place, 1])[:3]).astype(int)
        lesions[x : x + 1, y - 1 : y + 2, z : z + 1] = True
    return image, brain, grid, lesions
