"""Planted names of people, machines and folders are in no shared file of a site.

Private to the site, and so named here and nowhere searched (``PRIVATE``): the cohort and its prepared store, which
hold the patients' data; in a run folder the configuration with its paths, the log, the provenance, the audit's record
and the key to the pseudonyms; and the list of a study's commands.
"""

import base64
import gzip
import os
import re
import socket
import subprocess
import time
import warnings
import zipfile
import zlib
from contextlib import suppress

import nibabel as nib
import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from joint_seg_cls.training import PanelPlan, RunCard, RunFolder, TensorBoardTracking, WandbTracking, start_tracking
from joint_seg_cls.training.backends import MlflowTracking
from joint_seg_cls.training.kept_epochs import keep

#: What stands for whom or what; each is a word that nothing else contains.
MARKERS = {
    "user": "okapiuser",
    "home": "numbathome",
    "host": "kudumachine",
    "git remote": "wombatremote",
    "path": "zebrafolder",
    "header": "gnunameinheader",
    "free column": "quaggacomment",
}
#: Files of a run folder and of a study that stay at the site.
PRIVATE = {
    "config.yaml", "log.txt", "provenance.json", "audit.json", "pseudonyms.json", "FAILED", "heartbeat", ".lock",
    "mystudy.json",
}  # fmt: skip

#: Folders of the chain whose files are handed on.
HANDED_ON = ("runs", "audit", "predicted", "compared", "bundle", "report")


def contents(path):
    """Yield the bytes of a file, and those packed in it: of gzip, ZIP, the streams of a PDF, the volumes of a page."""
    raw = path.read_bytes()
    yield raw
    if raw.startswith(b"\x1f\x8b"):
        yield gzip.decompress(raw)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    packed = [base64.b64decode(each) for each in re.findall(rb">(H4sI[A-Za-z0-9+/=]{40,})<", raw)]
    yield from map(gzip.decompress, packed)
    if raw.startswith(b"%PDF"):
        for stream in re.findall(rb"stream\r?\n(.*?)endstream", raw, re.DOTALL):
            with suppress(zlib.error):
                yield zlib.decompress(stream)
                # kerning separates letters
                yield b"".join(re.findall(rb"\(((?:\\.|[^()\\])*)\)", zlib.decompress(stream)))


def leaks(folder, markers=MARKERS, private=PRIVATE):
    """Return which markers stand in which file below ``folder``, in its name or its content."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in private):
        content, name = b"\n".join(contents(path)), str(path.relative_to(folder))
        found += [f"{kind} in {name}" for kind, word in markers.items() if word.encode() in content or word in name]
    return found


def test_the_search_finds_a_planted_name_in_every_container(tmp_path):
    word = MARKERS["header"].encode()
    text = b"x" * 60 + word
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(text))
    with zipfile.ZipFile(tmp_path / "a.pt2", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", text)
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4\nstream\n" + zlib.compress(text) + b"\nendstream")
    (tmp_path / "a.html").write_bytes(b"<script>" + base64.b64encode(gzip.compress(text)) + b"</script>")
    assert leaks(tmp_path) == [f"header in a.{end}" for end in ("html", "nii.gz", "pdf", "pt2")]


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A hospital's folder with a cohort whose every private corner holds a marker; the program runs below it."""
    root = tmp_path / MARKERS["home"] / MARKERS["path"]
    root.mkdir(parents=True)
    affine = np.diag([-6.0, -6, 6, 1])
    affine[:3, 3] = 90, 100, -80
    offsets = np.moveaxis(np.indices((30, 34, 28)), 0, -1) - (14.5, 16.5, 13.5)
    brain = np.linalg.norm(offsets / (11, 13, 10), axis=-1) < 1
    lines = ["subject\tflair\tbrain_mask\tlesion_mask\tdisease\tage\tcomment"]
    for number in range(10):
        scan = np.random.default_rng(number).integers(300, 700, brain.shape).astype(np.int16) * brain
        lesion = np.zeros(brain.shape, np.int16)
        lesion[8 + number % 2 : 12, 15:18, 12:15] = 1
        scan[lesion > 0] = 900 + np.arange(lesion.sum())
        for kind, data in (("flair", scan), ("mask", lesion), ("brain", brain.astype(np.int16))):
            image = nib.Nifti1Image(data, affine)
            for key in ("descrip", "aux_file", "intent_name", "db_name"):
                image.header[key] = MARKERS["header"]
            nib.save(image, root / f"{number}_{kind}.nii.gz")
        files = [f"{number}_{kind}.nii.gz" for kind in ("flair", "brain", "mask")]
        cells = [
            f"p{number}",
            *files,
            ("MS", "NMOSD")[number % 2],
            str(40 + number),
            f"{MARKERS['free column']} {number}",
        ]
        lines.append("\t".join(cells))
    (root / "cohort.tsv").write_text("\n".join(lines) + "\n")
    for words in (["init", "-q"], ["remote", "add", "origin", f"https://example.org/{MARKERS['git remote']}.git"]):
        subprocess.run(["git", *words], cwd=root, check=True)
    monkeypatch.chdir(root)
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, MARKERS["user"])
    monkeypatch.setenv("HOME", str(tmp_path / MARKERS["home"]))
    monkeypatch.setenv("HOSTNAME", MARKERS["host"])
    monkeypatch.setattr(socket, "gethostname", lambda: MARKERS["host"])
    monkeypatch.setenv("WANDB_MODE", "offline")
    return root


def test_a_checkpoint_contains_no_folder_and_its_callbacks_find_their_files(tmp_path):
    old, new, own = (tmp_path / name / "checkpoints" for name in ("old", "new", "elsewhere"))

    def callbacks(folder):
        foreign = ModelCheckpoint(dirpath=own, monitor="val/dice")
        kept = [foreign, keep(RunFolder(folder.parent), "best", monitor="val/score", mode="max")]
        return [*kept, keep(RunFolder(folder.parent), "last")]

    def trainer(folder):
        return Trainer(accelerator="cpu", logger=False, callbacks=callbacks(folder), default_root_dir=tmp_path)

    def resumed(states):
        loading, found = trainer(new), {"callbacks": dict(states)}
        kept = loading.checkpoint_callbacks
        kept[-1].on_load_checkpoint(loading, LightningModule(), found)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Lightning warns that it ignores the earlier best score
            for callback in kept:
                callback.load_state_dict(found["callbacks"][callback.state_key])
        return [(one.dirpath, one.best_model_path, one.last_model_path, list(one.best_k_models)) for one in kept]

    training = trainer(old)
    trained = training.checkpoint_callbacks
    for one in trained:
        one.best_model_path = f"{one.dirpath}/best.ckpt"
        one.best_k_models = {f"{one.dirpath}/best.ckpt": torch.tensor(0.5)}
        one.best_model_score = torch.tensor(0.5)
    absolute = {one.state_key: ModelCheckpoint.state_dict(one) for one in trained}
    checkpoint = {"callbacks": {**absolute, "a user's": {"seen": [old / "x.nii"], "at": (str(old), "val/score")}}}
    trained[-1].on_save_checkpoint(training, LightningModule(), checkpoint)
    assert str(tmp_path) not in str(checkpoint)
    assert checkpoint["callbacks"]["a user's"] == {"seen": ["x.nii"], "at": ("checkpoints", "val/score")}
    assert trained[1].best_model_path == f"{old}/best.ckpt", "the callback itself goes on as before"
    for states in (checkpoint["callbacks"], absolute):  # as they are written now, and by older versions
        for folder, found in zip((own, new, new), resumed(states), strict=True):
            assert found == (str(folder), f"{folder}/best.ckpt", "", [f"{folder}/best.ckpt"])


def test_wandb_stores_weights_beside_its_run_without_folders(tmp_path, site):
    run = site / "runs" / "store" / "joint" / "fold-0_seed-0"
    run.mkdir(parents=True)
    weights = tmp_path / "best.ckpt"
    weights.write_bytes(b"weights")
    card = RunCard("g", "n", "train", [], "abc", run, site / "runs", {"lr": 0.1})
    tracker = start_tracking(WandbTracking("p", None, "offline", "best", False, PanelPlan(0, 1)), card)
    assert list(run.glob("wandb/*/logs")) == [], "a run that is killed leaves no log either"
    tracker.log_metrics({"val/dice": 0.5}, 1)
    tracker.log_model(weights, "best")
    tracker.finish()
    weights.unlink()
    (kept,) = run.glob("wandb/offline-run-*/weights/best.ckpt")
    (file,) = run.glob("wandb/offline-run-*/*.wandb")
    assert kept.read_bytes() == b"weights"
    named = kept.relative_to(run).as_posix().encode()
    deadline = time.monotonic() + 30  # W&B's own process writes the file
    while named not in file.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert named in file.read_bytes()
    assert leaks(site / "runs") == []
    assert str(tmp_path).encode() not in file.read_bytes()
    assert not (site.parent / ".local" / "share" / "wandb").exists()


def test_an_open_event_file_does_not_name_the_machine(tmp_path, site):
    card = RunCard("g", "n", "train", [], "abc", tmp_path / "run", tmp_path, {"<b>key": "a|b"})
    tracker = start_tracking(TensorBoardTracking(PanelPlan(0, 1)), card)
    assert leaks(tmp_path / "run") == []
    assert list((tmp_path / "run").rglob("events.out.*"))
    tracker.finish()
    (file,) = (tmp_path / "run").rglob("events.out.*")
    assert b"&lt;b&gt;key | a\\|b" in file.read_bytes()
    assert socket.gethostname() == MARKERS["host"]


@pytest.mark.parametrize("kind", ["refuses", pytest.param("is silent", marks=pytest.mark.slow)])
def test_an_unreachable_server_costs_seconds(tmp_path, monkeypatch, caplog, kind):
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if kind == "is silent":
            server.listen()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        card = RunCard("g", "n", "train", [], "abc", tmp_path, tmp_path)
        started = time.monotonic()
        assert start_tracking(MlflowTracking("e", address, None, PanelPlan(0, 1)), card) is None
    assert time.monotonic() - started < 30
    assert "the run continues without it" in caplog.text
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ


@pytest.mark.slow
def test_no_shared_file_contains_a_planted_name(site, jsc):
    def run(*words):
        code, out, err = jsc(*words)
        assert code == 0, err
        assert "the run continues without it" not in err, err
        return out

    run("prepare", f"cohort={site}/cohort.tsv", f"store={site}/store", "image_size=16", "preprocess/brain=given",
        "preprocess/bias_field=none", "workers=0")  # fmt: skip
    run("check", f"cohort={site}/cohort.tsv", f"store={site}/store", f"out={site}/audit", "workers=0")
    small = (
        f"data.store={site}/store", f"runs={site}/runs", "network.channels=4", "data.workers=0",
        "trainer.max_epochs=1", "trainer.accelerator=cpu", "study=mystudy", "data.validation_fraction=0.25",
    )  # fmt: skip
    for seed, tracking in enumerate(("wandb", "tensorboard", "mlflow", "csv")):
        upload = ["tracking.upload=best"] if tracking in ("wandb", "mlflow") else []
        run("train", *small, f"tracking={tracking}", f"seed={seed}", *upload)
    (trained,) = (site / "runs").glob("*/joint*/fold-0_seed-0")
    run("evaluate", f"run={trained}", f"cohort={site}/cohort.tsv", "device=cpu", "tracking=wandb")
    run(
        "predict",
        f"input={site}/0_flair.nii.gz",
        f"brain_mask={site}/0_brain.nii.gz",
        f"checkpoint={trained}",
        f"out={site}/predicted",
        "device=cpu",
    )
    predicted = f"input=[{site}/0_flair.nii.gz,{site}/2_flair.nii.gz]"
    run("predict", predicted, f"checkpoint={trained}", f"out={site}/predicted", "device=cpu", "hide_names=true")
    run("compare", predicted, f"findings={site}/predicted", f"out={site}/compared")
    run("export", f"run={trained}", f"out={site}/bundle")
    run("report", "study=mystudy", f"runs={site}/runs", "resamples=50", f"out={site}/report", "device=cpu")
    assert all(any((site / name).rglob("*.*")) for name in HANDED_ON)
    assert [leak for name in HANDED_ON for leak in leaks(site / name)] == []
    assert {path.name for path in (trained / "evaluations").iterdir()} == {"cohort"}
    assert not (site.parent / ".local" / "share" / "wandb").exists(), "no copy of the weights stays in the home"
