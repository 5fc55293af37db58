"""A user's split file: all formats, and all errors."""

import json
import re

import pytest

from joint_seg_cls.data import HELD_OUT, Folds, SplitFile, freeze
from joint_seg_cls.errors import ConfigError, SplitError

ROWS = [(f"m{i}{v}", f"m{i}", "MS", 5 + i) for i in range(4) for v in "ab"]
ROWS += [(f"n{i}", f"n{i}", "NMOSD", 9 + i) for i in range(4)]


@pytest.fixture
def cohort(make_store):
    """Four MS subjects with two scans each (m0a, m0b, ...), four NMOSD subjects with one (n0, ...)."""
    return make_store(ROWS)


@pytest.fixture
def write(tmp_path):
    def put(name, content):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return put


#: Test the second half of the subjects in fold 1, the first in fold 0.
FOLD = {subject: int(subject[1]) // 2 for _, subject, _, _ in ROWS}
FIRST = ("m0a", "m0b", "m1a", "m1b", "n0", "n1")
SECOND = ("m2a", "m2b", "m3a", "m3b", "n2", "n3")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.tsv", "subject\tfold\n" + "".join(f"{who}\t{fold}\n" for who, fold in FOLD.items())),
        ("s.csv", "Case, Fold\n" + "".join(f"{case},{FOLD[who]}\n" for case, who, *_ in ROWS)),
        ("s.json", FOLD),
        ("s.json", {case: str(FOLD[who]) for case, who, *_ in ROWS}),
        ("s.json", [{"train": SECOND, "test": FIRST}, {"train": FIRST, "test": SECOND}]),
        ("s.json", [{"train": SECOND, "val": FIRST}, {"train": FIRST, "val": SECOND}]),  # nnU-Net's splits_final.json
        ("s.json", {"0": {"train": SECOND, "test": FIRST}, "1": {"train": FIRST, "test": SECOND}}),
        (
            "s.tsv",
            "fold\tsplit\tsubject\n"
            + "".join(f"{k}\t{('train', 'test')[f == k]}\t{who}\n" for who, f in FOLD.items() for k in (0, 1)),
        ),
    ],
    ids=["subjects", "cases", "json-subjects", "json-cases", "json-parts", "nnunet", "json-numbered", "long"],
)  # fmt: skip
def test_every_format_gives_the_same_two_folds(cohort, write, name, content):
    splits = SplitFile(write(name, content)).splits(cohort.cases, 0.0)
    assert {fold: (split.train, split.validation, split.test) for fold, split in splits.items()} == {
        0: (SECOND, (), FIRST),
        1: (FIRST, (), SECOND),
    }


def test_a_single_fold_with_its_validation_part_is_fold_0(cohort, write):
    parts = {"m0": "train", "m1": "train", "m2": "val", "m3": "test", "n0": "train", "n1": "Training"}
    parts |= {"n2": "validation", "n3": "test"}
    text = "subject\tsplit\n" + "".join(f"{who}\t{part}\n" for who, part in parts.items())
    splits = SplitFile(write("s.tsv", text)).splits(cohort.cases, 0.5)
    assert list(splits) == [0]
    assert splits[0].validation == ("m2a", "m2b", "n2")
    assert splits[0].test == ("m3a", "m3b", "n3")
    as_json = {"train": ["m0", "m1", "n0", "n1"], "val": ["m2", "n2"], "test": ["m3", "n3"]}
    assert SplitFile(write("s.json", as_json)).splits(cohort.cases, 0.5) == splits


def test_missing_validation_parts_are_chosen_by_subject(cohort, write):
    split = SplitFile(write("s.json", FOLD)).splits(cohort.cases, 0.5)[0]
    assert split.test == FIRST
    assert sorted(split.train + split.validation) == sorted(SECOND)
    assert len({name[:2] for name in split.validation}) == 2  # one of two subjects of each class
    assert not {name[:2] for name in split.validation} & {name[:2] for name in split.train}


def test_held_out_subjects_are_in_no_other_fold(make_store, write):
    cohort = make_store([*ROWS, ("x", "x", "MS", 3), ("y", "y", "NMOSD", 3)])
    splits = SplitFile(write("s.json", FOLD | {"x": "held_out", "y": "held-out"})).splits(cohort.cases, 0.0)
    assert list(splits) == [0, 1, HELD_OUT]
    assert splits[HELD_OUT].test == ("x", "y")
    assert splits[HELD_OUT].train == tuple(sorted((*FIRST, *SECOND)))
    assert not {"x", "y"} & {*splits[0].train, *splits[0].test, *splits[1].train, *splits[1].test}


def test_folds_frozen_for_one_store_can_be_used_for_another(cohort, write):
    frozen = freeze(cohort, Folds("strict", 2), 0.5)
    brought = SplitFile(frozen.path).splits(cohort.cases, 0.5)
    assert brought == frozen.splits
    assert freeze(cohort, SplitFile(frozen.path), 0.5).hash == frozen.hash


def test_the_name_depends_on_the_content_of_the_file_not_on_its_path(cohort, write, tmp_path):
    one = SplitFile(write("mine.json", FOLD))
    (tmp_path / "elsewhere").mkdir()
    other = SplitFile(write("elsewhere/mine.json", FOLD))
    assert one.name(0.2) == other.name(0.2)
    assert re.fullmatch(r"file-mine-[0-9a-f]{8}_seed-0_validation-0.2", one.name(0.2))
    changed = SplitFile(write("mine.json", {**FOLD, "m0": 1}))
    assert changed.name(0.2) != other.name(0.2)


def refusal(cohort, path, **choices):
    with pytest.raises(SplitError) as error:
        SplitFile(path, **choices).splits(cohort.cases, 0.0)
    text = str(error.value)
    assert str(path) in text
    assert "\n" not in text
    return text


WITHOUT_N = {who: fold for who, fold in FOLD.items() if who[0] == "m"}


@pytest.mark.parametrize(
    ("content", "words", "allow"),
    [
        (FOLD | {"z9": 0}, "found 1 that it does not hold (z9)", "unknown_cases"),
        ({w: f for w, f in FOLD.items() if w != "m3"}, "found 2 in none of its parts (m3a, m3b)", "missing_cases"),
        (
            {case: (1 if case == "m0b" else FOLD[who]) for case, who, *_ in ROWS},
            "found 1 on two (m0 in test and train)",
            "leakage",
        ),
        (FOLD | {"n0": 1, "n1": 1}, "each part of fold 0, found no NMOSD in test", "empty_class"),
        ([{"train": SECOND[:4], "test": (*FIRST, *SECOND[4:])}], "found no NMOSD in train", "empty_class"),
    ],
    ids=["unknown", "missing", "leakage", "no-class-tested", "no-class-trained"],
)  # fmt: skip
def test_a_violated_rule_is_named_and_may_be_allowed(cohort, write, content, words, allow):
    path = write("s.json", content)
    text = refusal(cohort, path)
    assert words in text
    assert f"data.folds.allow=[{allow}]" in text
    assert SplitFile(path, allow=[allow]).splits(cohort.cases, 0.0)


def test_a_subject_in_training_and_validation_leaks_too(cohort, write):
    parts = {"train": ["m0a", "m1", "n0", "n1"], "val": ["m0b", "m2", "n2"], "test": ["m3", "n3"]}
    assert "m0 in train and validation" in refusal(cohort, write("s.json", parts))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("s.txt", "case fold", "a .tsv, .csv or .json file, found .txt"),
        ("s.tsv", "", "an unreadable one"),
        ("s.tsv", "name\tfold\nm0\t0\n", "columns case or subject, and fold or split, found name, fold"),
        ("s.tsv", "subject\tfold\nm0\tfirst\n", "a whole number or held_out as fold, found first"),
        ("s.tsv", "subject\tfold\nm0\t\n", "found an empty cell"),
        ("s.tsv", "subject\tfold\nm0\t0\nm0\t1\n", "m0 named twice"),
        ("s.tsv", "subject\tsplit\nm0\ttrain\nm1\teval\n", "line 3: expected train, val or test in the column split"),
        ("s.tsv", "subject\tsplit\nm0\ttrain\n", "a test part in every fold, found none in fold 0"),
        ("s.tsv", "subject\tsplit\nm0\ttrain\nm0\ttest\n", "one part of fold 0, found m0 named twice"),
        ("s.json", "{", "an unreadable one"),
        ("s.json", [], "folds, or names and their folds"),
        ("s.json", 3, "folds, or names and their folds, found int"),
        ("s.json", [{"train": ["m0"], "tests": ["m1"]}], "train, val and test in fold 0, found train, tests"),
        ("s.json", [{"train": ["m0"], "test": ["m0"]}], "one part of fold 0, found m0 named twice"),
        ("s.json", [["m0"], ["m1"]], "train, val and test in fold 0, found list"),
    ],
)
def test_an_invalid_split_file_is_refused(cohort, write, name, content, words):
    assert words in refusal(cohort, write(name, content))


def test_a_missing_file_and_an_unknown_permission_are_refused(cohort, tmp_path, write):
    assert "no such file" in refusal(cohort, tmp_path / "none.tsv")
    with pytest.raises(SplitError, match="no such file"):
        freeze(cohort, SplitFile(tmp_path / "none.tsv"), 0.2)
    with pytest.raises(ConfigError, match=r"leakage, unknown_cases, missing_cases, empty_class, found everything"):
        SplitFile(write("s.json", FOLD), allow=["everything"]).splits(cohort.cases, 0.0)
