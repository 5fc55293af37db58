"""Challenge archives, folders with patterns and hand-written tables become the same cohort table."""

import pandas as pd
import pytest

from joint_seg_cls.errors import CohortError, ConfigError
from joint_seg_cls.scan import read_cohort
from joint_seg_cls.scan.readers import Isbi2015Reader, PatternReader, TableReader, write_cohort_table


def output(found):
    return {(remark.what, remark.about) for remark in found.remarks}


def reasons(found):
    return " | ".join(f"{remark.what}: {remark.about}" for remark in found.remarks)


def names(found):
    return [(scan.subject, scan.session, scan.disease) for scan in found.scans]


def read(reader, root):
    return reader.read(root, root / "out.tsv")


# ------------------------------------------------------------------------------------------------------- ISBI 2015
def test_the_isbi_archive_gives_visits_and_both_raters(put):
    for visit in ("01", "02"):
        for modality in ("flair", "mprage", "t2", "pd"):
            put(f"ISBI/training/training03/preprocessed/training03_{visit}_{modality}_pp.nii")
        put(f"ISBI/training/training03/orig/training03_{visit}_flair.nii.gz")
        for rater in (1, 2):
            kind = "lesion-mask" if rater == 1 else "lesion-mask-2"
            put(f"ISBI/training/training03/masks/training03_{visit}_mask{rater}.nii", kind)
    put("ISBI/testdata_website/test02/preprocessed/test02_01_flair_pp.nii.gz", subject=2)
    put("ISBI/training/training04/masks/training04_01_mask1.nii", "lesion-mask")
    found = read(Isbi2015Reader(), put.root)
    assert names(found) == [("test02", "01", "MS"), ("training03", "01", "MS"), ("training03", "02", "MS")]
    test, first, _ = found.scans
    assert set(test.files) == {"flair"}
    assert set(first.files) == {"flair", "t1", "t2", "pd", "lesion_mask", "lesion_mask_2"}
    assert first.files["lesion_mask_2"].name == "training03_01_mask2.nii"
    assert first.columns == {"site": "ISBI-2015", "skull_stripped": "true"}
    assert "before preprocessing" in reasons(found)
    assert "without a preprocessed FLAIR: ISBI/training/training04" in reasons(found)


def test_an_isbi_file_stored_twice_is_refused(put):
    put("training01/preprocessed/training01_01_flair_pp.nii")
    put("training01/preprocessed/training01_01_flair_pp.nii.gz")
    with pytest.raises(CohortError, match=r"flair_pp\.nii and .*flair_pp\.nii\.gz"):
        read(Isbi2015Reader(), put.root)


# --------------------------------------------------------------------------------------------------------- pattern
def test_named_parts_join_masks_to_scans_and_become_columns(put):
    put("north/P2/v1/x_FLAIR.nii.gz")
    put("north/P10/v1/y_flair.nii", subject=2)
    put("north/P2/v1/mask A.nii.gz", "lesion-mask")
    put("north/P2/v1/mask B.nii.gz", "lesion-mask-2")
    put("north/P2/brain.nii.gz", "brain-mask")
    put("north/P99/v1/mask A.nii.gz", "lesion-mask")
    put("north/P2/v1/extra.nii.gz")
    reader = PatternReader(
        "{site}/{subject}/{session}/*_FLAIR.nii.gz",
        lesion_mask="{site}/{subject}/{session}/mask {rater}.nii.gz",
        brain_mask="{site}/{subject}/brain.nii.gz",
        disease="MS",
        columns={"scanner": "one"},
    )
    found = read(reader, put.root)
    assert names(found) == [("P2", "v1", "MS"), ("P10", "v1", "MS")]
    assert {name: file.name for name, file in found.scans[0].files.items()} == {
        "flair": "x_FLAIR.nii.gz",
        "lesion_mask": "mask A.nii.gz",
        "lesion_mask_2": "mask B.nii.gz",
        "brain_mask": "brain.nii.gz",
    }
    assert set(found.scans[1].files) == {"flair"}
    assert found.scans[0].columns == {"site": "north", "scanner": "one"}
    assert ("lesion_mask without its FLAIR", "north/P99/v1/mask A.nii.gz") in output(found)
    assert ("NIfTI files that match no pattern", "north/P2/v1/extra.nii.gz") in output(found)


def test_a_repeated_part_must_be_the_same_and_a_star_stays_within_one_name(put):
    put("a/b/a_b_FLAIR.nii.gz")
    put("a/c/a_b_FLAIR.nii.gz")
    put("a/b/deep/a_b_FLAIR.nii.gz")
    found = read(PatternReader("{subject}/{session}/{subject}_{session}_*.nii.gz"), put.root)
    assert names(found) == [("a", "b", None)]
    assert names(read(PatternReader("{subject}/**/deep/*.nii.gz"), put.root)) == [("a", None, None)]


def test_labels_come_from_a_table_a_folder_or_one_word(put):
    put("MS/p1_flair.nii.gz")
    put("nmo/p2_flair.nii.gz")
    (put.root / "labels.csv").write_text("subject,dx,sex\np1,RR,F\nP2,MS,M\np3,MS,M\n")
    pattern = "*/{subject}_flair.nii.gz"
    found = read(PatternReader(pattern, labels="labels.csv", names={"rr": "MS"}), put.root)
    assert [(scan.disease, scan.columns) for scan in found.scans] == [("MS", {"sex": "F"}), ("MS", {"sex": "M"})]
    assert ("subjects in labels.csv without a scan", "p3") in output(found)
    by_folder = PatternReader("{disease}/{subject}_flair.nii.gz", labels={"nmo": "NMOSD"})
    assert [scan.disease for scan in read(by_folder, put.root).scans] == ["MS", "NMOSD"]
    with pytest.raises(CohortError, match=r"other\.csv.*no such file"):
        read(PatternReader(pattern, labels="other.csv"), put.root)


def test_two_files_for_one_scan_are_refused(put):
    put("p1/a_FLAIR.nii.gz")
    put("p1/b_FLAIR.nii.gz")
    with pytest.raises(CohortError, match=r"for p1, found p1/a_FLAIR\.nii\.gz and p1/b_FLAIR\.nii\.gz"):
        read(PatternReader("{subject}/*_FLAIR.nii.gz"), put.root)
    put("p2/FLAIR.nii.gz")
    put("p2/1_mask.nii.gz", "lesion-mask")
    put("p2/2_mask.nii.gz", "lesion-mask")
    with pytest.raises(CohortError, match=r"lesion_mask for p2, found p2/1_mask\.nii\.gz and p2/2_mask\.nii\.gz"):
        read(PatternReader("{subject}/FLAIR.nii.gz", lesion_mask="{subject}/*_mask.nii.gz"), put.root)


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ({"flair": "*/FLAIR.nii.gz"}, "the named part {subject}"),
        ({"flair": "{subject/FLAIR.nii.gz"}, "named parts such as {subject}"),
        ({"flair": "{}/FLAIR.nii.gz"}, "named parts such as {subject}"),
        ({"flair": "{1}/{subject}.nii.gz"}, "named parts such as {subject}"),
        ({"flair": "{subject}/FLAIR"}, "ending in .nii.gz"),
        ({"flair": "{subject}/f.nii.gz", "brain_mask": "{subject}/{part}.nii.gz"}, "only named parts"),
        ({"flair": "{subject}/f{rater}.nii.gz"}, "only named parts"),
        (
            {"flair": "{subject}.nii", "lesion_mask": "{subject}{rater}.nii", "lesion_mask_2": "{subject}.nii"},
            "none together with",
        ),
    ],
)
def test_an_incomplete_pattern_is_refused(patterns, message):
    with pytest.raises(ConfigError) as error:
        PatternReader(**patterns)
    assert message in str(error.value)


# ----------------------------------------------------------------------------------------------------------- table
def test_a_table_with_other_column_names_is_read_with_rewritten_paths(phantom, tmp_path):
    theirs = pd.read_csv(phantom / "cohort.tsv", sep="\t", dtype=str)
    theirs = theirs.rename(columns={"flair": "FLAIR path", "disease": "dx", "subject": "ID"}).replace({"MS": "RRMS"})
    theirs["note"] = ["a;b", 'said "c"']
    theirs.to_csv(phantom / "theirs.csv", index=False)
    reader = TableReader({"flair": "FLAIR path", "disease": "dx", "subject": "ID"}, {"rrms": "MS"})
    out = tmp_path / "tables" / "mine.tsv"
    cases = write_cohort_table(reader.read(phantom / "theirs.csv", out), out, classes=["MS", "NMOSD"])
    assert cases == read_cohort(out)
    original = read_cohort(phantom / "cohort.tsv")
    assert [(case.case, case.images, case.lesion_masks, case.disease) for case in cases] == [
        (case.case, case.images, case.lesion_masks, case.disease) for case in original
    ]
    assert [case.columns.pop("note") for case in cases] == ["a;b", 'said "c"']
    assert [case.columns for case in cases] == [case.columns for case in original]


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("subject,flair\n", {}, "at least one scan"),
        ("subject,flair\ns,gone.nii.gz\n", {}, "line 2"),
        ("subject,flair\n,f.nii.gz\n", {}, "a subject"),
        ("subject,scan\ns,f.nii.gz\n", {}, "add flair"),
        ("subject,flair\ns,f.nii.gz\n", {"disease": "dx"}, "add dx"),
        ("subject,flair\ns,f.nii.gz\ns,f.nii.gz\n", {}, "several for s"),
        ("subject,flair,t1\ns,f.nii.gz,gone.nii.gz\n", {}, "no file"),
    ],
)
def test_an_invalid_table_is_refused(tmp_path, text, columns, message):
    (tmp_path / "f.nii.gz").touch()
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(CohortError, match=r"t\.csv") as error:
        write_cohort_table(
            TableReader(columns).read(tmp_path / "t.csv", tmp_path / "o.tsv"), tmp_path / "o.tsv", classes=["MS"]
        )
    assert message in str(error.value)
    assert not (tmp_path / "o.tsv").exists()


@pytest.mark.parametrize("reader", [Isbi2015Reader(), PatternReader("{subject}.nii.gz")])
def test_wrong_and_empty_folders_are_refused(reader, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for place, message in (("nowhere", "no such folder"), ("file", "a file"), ("empty", "0 NIfTI files")):
        with pytest.raises(CohortError, match=message):
            reader.read(tmp_path / place, tmp_path / "o.tsv")


def test_a_consensus_is_not_a_further_rater(put):
    put("p1/FLAIR.nii.gz")
    for rater in ("1", "2", "Consensus"):
        put(f"p1/mask_{rater}.nii.gz", "lesion-mask")
    found = read(PatternReader("{subject}/FLAIR.nii.gz", lesion_mask="{subject}/mask_{rater}.nii.gz"), put.root)
    assert {key: file.name for key, file in found.scans[0].files.items()} == {
        "flair": "FLAIR.nii.gz",
        "lesion_mask": "mask_Consensus.nii.gz",
    }
    assert ("single raters' masks, not used because of a consensus", "p1/mask_1.nii.gz") in output(found)
    assert "without its FLAIR" not in reasons(found)


@pytest.mark.parametrize("codes", [("0", "1"), ("1", "2"), ("1.0", "0.0")])
def test_codes_in_a_table_of_subjects_or_scans_need_labels(put, codes):
    rows = []
    for number, code in enumerate(codes):
        put(f"p{number}.nii.gz")
        rows.append(f"p{number},p{number}.nii.gz,{code}\n")
    table = put.root / "list.csv"
    table.write_text("subject,flair,dx\n" + "".join(rows))
    meaning = dict(zip(codes, ("HC", "MS"), strict=True))
    for number, make in enumerate(
        (
            lambda labels: TableReader({"disease": "dx"}, labels).read(table, table),
            lambda labels: PatternReader("{subject}.nii.gz", labels="list.csv", names=labels).read(put.root, table),
        )
    ):
        out = put.root / f"out{number}.tsv"
        with pytest.raises(CohortError, match=r"expected MS, NMOSD or nothing"):
            write_cohort_table(make(None), out, classes=["MS", "NMOSD"])
        cases = write_cohort_table(make(meaning), out, classes=["MS", "NMOSD"])
        assert [case.disease for case in cases] == [None, "MS"]


def test_the_side_car_of_a_list_explains_its_codes(put):
    put("p0.nii.gz")
    (put.root / "list.csv").write_text("subject,flair,dx\np0,p0.nii.gz,1\n")
    (put.root / "list.json").write_text('{"dx": {"Levels": {"1": "NMOSD"}}}')
    found = TableReader({"disease": "dx"}).read(put.root / "list.csv", put.root)
    (case,) = write_cohort_table(found, put.root / "o.tsv", classes=["MS", "NMOSD"])
    assert case.disease == "NMOSD"


def test_one_name_for_two_classes_is_refused():
    with pytest.raises(ConfigError, match="labels: expected one class for each name"):
        TableReader(labels={"RRMS": "MS", "rrms": "NMOSD"})
