"""Remedies of the readers work when typed as printed."""

import re
import shlex

import nibabel as nib
import numpy as np
import pytest

from joint_seg_cls.scan import PreparedStore, read_cohort

SHAPE = (12, 13, 14)


def volume(path, data=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    if data is None:  # a brain without skull
        data = np.zeros(SHAPE, np.float32)
        data[1:-1, 1:-1, 1:-1] = np.random.default_rng(len(str(path))).normal(100, 9, np.subtract(SHAPE, 2))
    nib.save(nib.Nifti1Image(data, np.diag([2.0, 2.0, 2.0, 1.0])), path)


def advised(error, key):
    """Return the words for ``key`` that a message prints, as a shell would read them."""
    words = []
    for found in re.finditer(rf"(?<![\w.]) ?'?{key}=", error):
        shell = shlex.shlex(error[found.start() :].strip(), posix=True, punctuation_chars=";")
        shell.whitespace_split = True
        words.append(shell.get_token().rstrip(".,`"))
    return words


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def people(folder, cells):
    """Write the scans of one person a cell: as BIDS, as a list and by their names."""
    lines, rows = ["participant_id\tdiagnosis"], ["subject,flair,disease"]
    for number, cell in enumerate(cells):
        volume(folder / f"sub-{number}" / "anat" / f"sub-{number}_FLAIR.nii.gz")
        lines.append(f"sub-{number}\t{cell}")
        rows.append(f'{number},sub-{number}/anat/sub-{number}_FLAIR.nii.gz,"{cell}"')
    (folder / "participants.tsv").write_text("\n".join(lines))
    (folder / "list.csv").write_text("\n".join(rows))


SOURCES = {
    "bids": ("source=bids", "path=."),
    "table": ("source=table", "path=list.csv"),
    "pattern": ("source=pattern", "path=.", "flair=**/{subject}_FLAIR.nii.gz", "labels=participants.tsv"),
}


@pytest.mark.parametrize(
    ("source", "cells"),
    [
        ("bids", ("0", "1", "2.0")),
        ("table", ("1", "2", "3")),
        ("bids", ("a, b: {c}", "Müller's", "007", "HC")),
        ("table", ("MS", "RR-MS/SP", "null", "True")),
    ],
)
def test_unknown_names_of_diseases(jsc, folder, source, cells):
    people(folder, cells)
    words = ("cohort", *SOURCES[source], "out=c.tsv")
    code, _, err = jsc(*words)
    assert (code, err.count("\n")) == (2, 1)
    word = advised(err, "labels")[0]
    code, _, err = jsc(*words, word)
    assert code == 0, err
    assert {case.disease for case in read_cohort("c.tsv")} <= {"MS", None}
    filled = word.replace(": null", ": NMOSD")
    code, _, err = jsc(*words[:-1], "out=d.tsv", filled)
    assert code == 0, err
    expected = {"MS": "MS"}
    assert [case.disease for case in read_cohort("d.tsv")] == [expected.get(cell, "NMOSD") for cell in cells]


def test_a_table_of_subjects_with_patterns(jsc, folder):
    people(folder, ("0", "1"))
    code, _, err = jsc("cohort", *SOURCES["pattern"], "out=c.tsv")
    assert code == 2
    names = advised(err, "labels")[0].replace("labels=", "names=").replace("0: null", "0: HC").replace("null", "MS")
    code, _, err = jsc("cohort", *SOURCES["pattern"], "out=c.tsv", names)
    assert code == 0, err
    assert [case.disease for case in read_cohort("c.tsv")] == [None, "MS"]


@pytest.mark.parametrize("source", ["isbi2015", "dicom"])
def test_a_common_disease_that_is_not_a_class(jsc, folder, source):
    volume(folder / "training01" / "preprocessed" / "training01_01_flair_pp.nii")
    words = ("cohort", f"source={source}", "path=.", "out=c.tsv")
    code, _, err = jsc(*words, "disease=1")
    assert (code, err.startswith("error: disease: expected one of MS, NMOSD")) == (2, True)
    code, _, err = jsc(*words, *advised(err, "disease"))
    assert (code == 0) == (source == "isbi2015"), err
    assert "error: disease" not in err


def test_a_common_disease_that_is_translated_to_a_class(jsc, folder):
    volume(folder / "p1.nii.gz")
    words = ("cohort", "source=pattern", "path=.", "flair={subject}.nii.gz", "out=c.tsv", "disease=1")
    code, _, err = jsc(*words)
    assert code == 2
    assert advised(err, "labels") == ["labels={1: null}", "labels={1: MS}"]
    assert jsc(*words, "labels={1: MS}")[0] == 0
    assert [case.disease for case in read_cohort("c.tsv")] == ["MS"]
    assert jsc(*words[:-2], "out=d.tsv", "disease=1", "classes=[1,2,3]")[0] == 0
    assert [case.disease for case in read_cohort("d.tsv", classes=["1", "2", "3"])] == ["1"]


def test_codes_in_a_cohort_table(jsc, folder):
    people(folder, ("0", "1", "MS"))
    code, _, err = jsc("check", "cohort=list.csv", "out=audit", "workers=0", "pictures=0")
    assert code == 2
    (command,) = set(re.findall(r"`(jsc cohort [^`]+)`", err))
    code, _, err = jsc(*shlex.split(command)[1:])
    assert code == 0, err
    assert [case.disease for case in read_cohort("list_named.csv")] == [None, None, "MS"]


@pytest.mark.parametrize("out", ["c.txt", "."])
def test_a_path_for_the_table(jsc, folder, out):
    people(folder, ("MS",))
    code, _, err = jsc("cohort", *SOURCES["bids"], f"out={out}")
    assert code == 2
    assert jsc("cohort", *SOURCES["bids"], advised(err.rstrip(".\n"), "out")[-1])[0] == 0


@pytest.mark.parametrize("values", [(1, 2, 3, 4)])
def test_values_of_a_mask(jsc, folder, values):
    volume(folder / "p1.nii.gz")
    mask = np.zeros(SHAPE, np.uint8)
    for number, value in enumerate(values):
        mask[3:6, 3:6, 2 + 3 * number : 4 + 3 * number] = value
    volume(folder / "p1_mask.nii.gz", mask)
    (folder / "c.csv").write_text("subject,flair,lesion_mask,disease\np1,p1.nii.gz,p1_mask.nii.gz,MS\n")
    words = ("prepare", "cohort=c.csv", "store=store", "image_size=16", "workers=0")
    words += ("preprocess/brain=none", "preprocess/bias_field=none")
    code, _, err = jsc(*words)
    assert code == 2, err
    (word,) = advised(err, "lesion_value")
    code, _, err = jsc(*words, word)
    assert code == 0, err
    np.testing.assert_array_equal(PreparedStore(folder / "store").cases[0].lesion_mask_native(), mask > 0)
    checked = ("check", "cohort=c.csv", "out=audit", "workers=0", "pictures=0")
    assert advised(jsc(*checked)[1], "lesion_value") == [word]
    output = jsc(*checked, word)[1]
    assert "mask values" not in output
    assert "count as background" in jsc(*checked, f"lesion_value={values[1]}")[1]
