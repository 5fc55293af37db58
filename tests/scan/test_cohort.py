"""Reading the cohort table, and all its errors."""

import unicodedata
from pathlib import Path

import pytest

from joint_seg_cls.errors import CohortError
from joint_seg_cls.scan import read_cohort


@pytest.fixture
def folder(tmp_path):
    for name in ("a.nii.gz", "b.nii.gz", "mask a.nii.gz", "t1.nii.gz"):
        (tmp_path / name).touch()
    return tmp_path


def table(folder: Path, text: str, name: str = "cohort.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_have_labels_files_and_further_columns(folder):
    path = table(
        folder,
        "subject,session,flair,lesion_mask,lesion_mask_2,disease,site,age\n"
        "s1,1,a.nii.gz,mask a.nii.gz,mask a.nii.gz,MS,north,31\n"
        "s1,2,b.nii.gz,,,nmosd,,\n"
        "s2,,b.nii.gz,,,,,\n",
    )
    first, second, third = read_cohort(path)
    assert (first.case, first.subject, first.session, first.disease) == ("s1_1", "s1", "1", "MS")
    assert first.images == (folder / "a.nii.gz",)
    assert first.lesion_masks == (folder / "mask a.nii.gz",) * 2
    assert first.columns == {"site": "north", "age": "31"}
    assert (second.disease, second.lesion_masks, second.columns) == ("NMOSD", (), {})
    assert (third.case, third.session, third.disease, third.brain_mask) == ("s2", None, None, None)


@pytest.mark.parametrize("codes", [("0", "1"), ("1", "2"), ("1.0", "0.0"), ("True", "False"), ("MS", "1")])
def test_numbers_are_not_diseases(folder, codes):
    text = "subject\tflair\tdisease\n" + "".join(f"s{code}\ta.nii.gz\t{code}\n" for code in codes)
    with pytest.raises(CohortError, match=r"a disease among MS, NMOSD .*labels=\{"):
        read_cohort(table(folder, text, "cohort.tsv"))


@pytest.mark.parametrize("cells", [("1", "2", "3"), ("1.0", "2.0", "3.0"), (" 1", "02", "3")])
def test_numeric_class_names_are_names(folder, cells):
    text = "subject\tflair\tdisease\n" + "".join(f"s{n}\ta.nii.gz\t{cell}\n" for n, cell in enumerate(cells))
    cases = read_cohort(table(folder, text, "cohort.tsv"), classes=["1", "2", "3"])
    assert [case.disease for case in cases] == ["1", "2", "3"]


@pytest.mark.parametrize("name", ["NA", "None", "null", "nan", "1e5", "007", "N/A", "True", "-1", "李明", "Müller"])
def test_a_subject_keeps_its_name(folder, name):
    path = table(folder, f"subject,flair,disease,age\n{name},a.nii.gz,MS,NA\n")
    (case,) = read_cohort(path)
    assert (case.subject, case.columns) == (name, {})


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["c.csv", "c.tsv", "c.TSV"])
def test_the_separator_is_detected_from_the_header(folder, mark, name):
    rows = ["subject", "flair", "disease", "age, in years", "score"], ["s1", "a.nii.gz", "MS", "31,5", "2;3"]
    text = "\n".join(mark.join(f'"{cell}"' if mark in cell else cell for cell in row) for row in rows)
    (case,) = read_cohort(table(folder, text, name))
    assert (case.subject, case.disease) == ("s1", "MS")
    assert case.columns == {"age, in years": "31,5", "score": "2;3"}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_equivalent_unicode_spellings_are_equal(tmp_path, form):
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    (tmp_path / unicodedata.normalize(form, "Müller_李明.nii.gz")).touch()
    name = unicodedata.normalize(other, "Müller")
    path = table(tmp_path, f"subject,flair\n{name},{unicodedata.normalize(other, 'Müller_李明.nii.gz')}\n")
    (case,) = read_cohort(path)
    assert case.subject == unicodedata.normalize("NFC", "Müller")
    assert case.images[0].is_file()


@pytest.mark.parametrize("cell", ["x" * 5000, "~no such user/a.nii.gz", f"{'d' * 300}/a.nii.gz", "a/" * 3000 + "a.nii"])
def test_an_impossible_path_gives_an_error_message(folder, cell):
    path = table(folder, f"subject,flair\ns1,{cell}\n")
    with pytest.raises(CohortError, match=r"line 2: expected a file in flair, found ") as error:
        read_cohort(path)
    assert len(str(error.value)) < 700


def test_paths_are_relative_to_the_table(folder, tmp_path):
    (tmp_path / "tables").mkdir()
    path = table(tmp_path / "tables", "subject,flair\ns1,../a.nii.gz\n")
    assert read_cohort(path)[0].images == (folder / "a.nii.gz",)


def test_several_modalities_are_read_in_order(folder):
    path = table(folder, "subject,flair,t1\ns1,a.nii.gz,t1.nii.gz\n")
    assert [file.name for file in read_cohort(path, modalities=("t1", "flair"))[0].images] == ["t1.nii.gz", "a.nii.gz"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject,flair\n", "without rows"),
        ("", "header"),
        ("person,flair\ns1,a.nii.gz\n", "add subject"),
        ("subject,t1\ns1,t1.nii.gz\n", "add flair"),
        ("subject,flair\ns1,missing.nii.gz\n", "line 2"),
        ("subject,flair\ns1,\n", "a path in flair"),
        ("subject,flair\n,a.nii.gz\n", "a subject"),
        ("subject,flair,disease\ns1,a.nii.gz,CIS\n", "a disease among MS, NMOSD"),
        ("subject,flair,disease\ns1,a.nii.gz,2\n", "found 2"),
        ("subject,flair\ns1,a.nii.gz\ns1,b.nii.gz\n", "appear twice (s1)"),
        ("subject,flair,lesion_mask\ns1,a.nii.gz,none.nii.gz\n", "a file in lesion_mask"),
        ("subject,flair,flair\ns1,a.nii.gz,b.nii.gz\n", "flair 2 times"),
        ("subject,flair , flair\ns1,a.nii.gz,b.nii.gz\n", "flair 2 times"),
        (",,\n,,\n", "add subject"),
        ("subject,flair\n,\n,\n", "without rows"),
        ("subject,flair\n...,a.nii.gz\n", "line 2: expected a subject that can be a folder name"),
        ("subject,flair\nStore.json,a.nii.gz\n", "a subject that can be a folder name, found Store.json"),
        (f"subject,flair\n{'x' * 200},a.nii.gz\n", "of 200 characters"),
        ("subject,flair\nS1,a.nii.gz\ns1,b.nii.gz\n", "S1 and s1, which differ only in case"),
        ("subject,flair,disease\ns1,a\0.nii.gz,MS\n", "null bytes"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        ('subject,flair,note\ns1,a.nii.gz,"open\ns2,b.nii.gz,x"\n', "line 2: expected one row per line"),
        ("subject,flair\ns1,a.nii.gz\n,\n\ns2,none.nii.gz\n", "line 4"),
    ],
)
def test_an_invalid_table_is_refused(folder, text, message):
    path = table(folder, text)
    with pytest.raises(CohortError) as error:
        read_cohort(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(CohortError, match=r"absent\.tsv: expected a cohort table"):
        read_cohort(tmp_path / "absent.tsv")


def test_a_folder_is_not_a_table(tmp_path):
    (tmp_path / "folder.tsv").mkdir()
    with pytest.raises(CohortError, match="found a folder"):
        read_cohort(tmp_path / "folder.tsv")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_tables_of_other_operating_systems_are_read(folder, mark, end):
    path = folder / "cohort.csv"
    lines = [f"{mark}subject,flair,disease", "s1,a.nii.gz,ms", ",,", '"s 2", b.nii.gz ,NMOSD', ",,"]
    path.write_bytes(end.join(lines).encode())
    assert [(case.case, case.images[0].name, case.disease) for case in read_cohort(path)] == [
        ("s1", "a.nii.gz", "MS"), ("s-2", "b.nii.gz", "NMOSD"),
    ]  # fmt: skip


def test_names_with_the_same_folder_are_refused(folder):
    path = table(folder, "subject,flair\ns/1,a.nii.gz\ns:1,b.nii.gz\n")
    with pytest.raises(CohortError, match="appear twice"):
        read_cohort(path)
