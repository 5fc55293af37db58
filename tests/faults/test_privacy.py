"""Planted names of people, machines and folders are in no file that a site hands on.

Private to the site, and so named here and nowhere searched (``PRIVATE``): the cohort and its prepared store, which
hold the patients' data; in a run folder the configuration with its paths, the log, the provenance, the audit's record
and the key to the pseudonyms; the list of a study's commands; and the records of MLflow's local store, which MLflow
finds its own files by.
"""

import socket
import subprocess

import nibabel as nib
import numpy as np
import pytest

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
#: Files of a run folder, of a study and of MLflow's local store that stay at the site.
PRIVATE = {
    "config.yaml", "log.txt", "provenance.json", "audit.json", "pseudonyms.json", "FAILED", "heartbeat", ".lock",
    "mystudy.json", "meta.yaml",
}  # fmt: skip


def leaks(folder, markers=MARKERS, private=PRIVATE):
    """Return which markers stand in which file below ``folder``, in its name or its content."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in private):
        content = path.read_bytes()
        if path.name.endswith(".gz"):
            content = subprocess.run(["gzip", "-dc", path], capture_output=True, check=True).stdout
        name = str(path.relative_to(folder))
        found += [f"{kind} in {name}" for kind, word in markers.items() if word.encode() in content or word in name]
    return found


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


@pytest.mark.slow
def test_no_file_that_is_handed_on_holds_a_planted_name(site, jsc):
    def run(*words):
        code, out, err = jsc(*words)
        assert code == 0, err
        assert "the run goes on without it" not in err
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
    run("report", "study=mystudy", f"runs={site}/runs", "resamples=50", f"out={site}/report", "device=cpu")
    assert [leak for name in ("runs", "audit", "predicted", "report") for leak in leaks(site / name)] == []
    assert {path.name for path in (trained / "evaluations").iterdir()} == {"cohort"}
    assert not (site.parent / ".local" / "share" / "wandb").exists(), "no copy of the weights stays in the home"
