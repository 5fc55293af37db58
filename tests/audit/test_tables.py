"""Hand-computed tables of a cohort (the paper's Tables 1 and 2) and of its lesions."""

from joint_seg_cls.audit.tables import acquisition_table, cohort_table, lesion_table


def test_subjects_by_class_and_site(facts):
    def scan(case, subject, disease, site, age, sex, mask=True):
        return facts(case, subject, disease, columns={"site": site, "age": age, "sex": sex}, has_reference=mask)

    scans = [
        scan("a1", "a", "MS", "north", "30", "F"),
        scan("a2", "a", "MS", "north", "33", "F"),
        scan("b", "b", "MS", "north", "40", "male", mask=False),
        scan("c", "c", "MS", "south", "", "M"),
        scan("d", "d", "NMOSD", "south", "50", "f"),
        scan("e", "e", None, "", "60", ""),
    ]
    table = cohort_table(scans, ["MS", "NMOSD"])
    assert table.columns == ["disease", "site", "subjects", "scans", "sex", "age, years", "with mask"]
    assert table.rows == [
        ["MS", "north", "2", "3", "1 F, 1 M", "35.0 ± 7.1 (30-40)", "2"],
        ["MS", "south", "1", "1", "1 M", "unknown", "1"],
        ["MS", "all", "3", "4", "1 F, 2 M", "35.0 ± 7.1 (30-40); 1 unknown", "3"],
        ["NMOSD", "south", "1", "1", "1 F", "50.0 (50-50)", "1"],
        ["unknown", "unknown", "1", "1", "1 unknown", "60.0 (60-60)", "1"],
        ["unknown", "all", "1", "1", "1 unknown", "60.0 (60-60)", "1"],
        ["all", "all", "5", "6", "2 F, 2 M, 1 unknown", "45.0 ± 12.9 (30-60); 1 unknown", "5"],
    ]


def test_a_cohort_without_further_columns_has_one_row_per_class(facts):
    table = cohort_table([facts("a"), facts("b", disease="NMOSD")], ["MS", "NMOSD"])
    assert [row[:4] for row in table.rows] == [
        ["MS", "all", "1", "1"],
        ["NMOSD", "all", "1", "1"],
        ["all", "all", "2", "2"],
    ]


def test_acquisition_by_site(facts):
    scans = [
        facts("a", shape=(10, 20, 30), spacing_mm=(3.0, 0.5, 1.0), axes="LPS", columns={"site": "x", "field": "3"}),
        facts("b", shape=(12, 20, 30), spacing_mm=(0.7, 3.0, 1.0), axes="LPS", columns={"site": "x", "field": "3"}),
        facts("c", shape=(8, 8, 8), spacing_mm=(1.0, 1.0, 1.0), axes="RAS", columns={"site": "y", "field": "1.5"}),
        facts("d", columns={"site": "y"}),
    ]
    table = acquisition_table(scans)
    assert table.columns == ["site", "scans", "voxel size, mm (sorted)", "matrix", "axes", "field"]
    assert table.rows == [
        ["x", "2", "0.60 (0.50-0.70) x 1.00 x 3.00", "11 (10-12) x 20 x 30", "LPS", "3"],
        ["y", "2", "1.00 x 1.00 x 1.00", "8 x 8 x 8", "RAS", "1.5"],
        [
            "all",
            "4",
            "0.70 (0.50-1.00) x 1.00 x 3.00 (1.00-3.00)",
            "10 (8-12) x 20 (8-20) x 30 (8-30)",
            "LPS (2), RAS (1)",
            "3 (2), 1.5 (1)",
        ],
    ]


def test_lesion_load_and_count_by_class(facts):
    loads = [(1.0, 2), (2.0, 4), (3.0, 6), (4.0, 8), (0.0, 0)]
    scans = [facts(f"m{i}", lesion_ml=ml, lesion_count=n, has_reference=True) for i, (ml, n) in enumerate(loads)]
    table = lesion_table([*scans, facts("n", disease="NMOSD")], ["MS", "NMOSD"])
    assert table.rows == [
        ["MS", "5", "1", "2.00 (1.00-3.00; 0.00-4.00)", "4 (2-6; 0-8)"],
        ["NMOSD", "0", "0", "unknown", "unknown"],
        ["all", "5", "1", "2.00 (1.00-3.00; 0.00-4.00)", "4 (2-6; 0-8)"],
    ]
