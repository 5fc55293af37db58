"""Values of the wrong type on the command line: one sentence, exit code 2, and nothing written."""

import re
import shlex

import nibabel as nib
import numpy as np
import pytest


@pytest.fixture
def table(tmp_path):
    """A cohort of one stripped scan with a lesion."""
    scan = np.zeros((30, 34, 28), np.int16)
    scan[6:24, 6:28, 6:22] = np.random.default_rng(0).integers(300, 700, (18, 22, 16))
    lesion = np.zeros(scan.shape, np.uint8)
    lesion[8:12, 15:18, 12:15] = 1
    for kind, data in (("flair", scan), ("mask", lesion)):
        nib.save(nib.Nifti1Image(data, np.diag([-6.0, -6, 6, 1])), tmp_path / f"{kind}.nii.gz")
    path = tmp_path / "cohort.tsv"
    path.write_text("subject\tflair\tlesion_mask\tdisease\ns\tflair.nii.gz\tmask.nii.gz\tMS\n")
    (tmp_path / "file").touch()
    return path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lesion_value=white"], "lesion_value: expected numbers other than 0, found white"),
        (["lesion_value=0"], "lesion_value: expected numbers other than 0, found 0"),
        (["lesion_value=[]"], "lesion_value: expected numbers other than 0"),
        (["store={folder}/file"], "store: expected a writable folder, found a file"),
        (["store={folder}/file/store"], "store: expected a writable folder, found a file"),
    ],
)
def test_prepare_refuses_before_any_work(jsc, table, tmp_path, words, message):
    before = sorted(tmp_path.rglob("*"))
    words = [word.format(folder=tmp_path) if "{folder}" in word else word for word in words]
    code, out, err = jsc("prepare", f"cohort={table}", f"store={tmp_path / 'store'}", *words)
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert message in err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["accept=labels"], "accept: expected a list"),
        (["pictures=all"], "pictures: expected a whole number, 0 or more, found 'all'"),
        (["lesion_value=white"], "lesion_value: expected numbers other than 0, found white"),
        (["accept=[duplicate]"], "accept: expected some of the checks table, files"),
        (["out={folder}/file/audit"], "out: expected a writable folder, found a file"),
        (["out=/proc/audit"], "out: expected a writable folder"),
    ],
)
def test_check_refuses_wrong_values(jsc, table, tmp_path, words, message):
    before = sorted(tmp_path.rglob("*"))
    words = [word.format(folder=tmp_path) for word in words]
    code, out, err = jsc("check", f"cohort={table}", f"out={tmp_path / 'audit'}", *words)
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert message in err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["source=bids", "labels=patient"], "labels"),
        (["source=bids", "modalities=T1w"], "modalities"),
        (["source=table", "columns=FLAIR"], "columns"),
        (["source=pattern", "flair={subject}.nii.gz", "columns=north"], "columns"),
        (["source=pattern", "flair={subject}.nii.gz", "others=t1ce"], "others"),
    ],
)
def test_cohort_requires_mappings(jsc, table, tmp_path, words, key):
    out = tmp_path / "out" / "cohort.tsv"
    code, output, err = jsc("cohort", f"path={tmp_path}", f"out={out}", *words)
    assert (code, output, len(err.splitlines())) == (2, "", 1), err
    assert err.startswith(f"error: {key}: expected a mapping of names, found ")
    assert not out.parent.exists()
    (shown,) = shlex.split(re.findall(r"write ('[^']+'), with", err)[0])
    _, _, err = jsc("cohort", f"path={tmp_path}", f"out={out}", *words[:-1], shown)
    assert shown == f'{key}={{one: two, "#3": four}}'
    assert "a mapping" not in err
    assert "grammar" not in err
