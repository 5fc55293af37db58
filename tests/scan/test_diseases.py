"""The class that a text names; nothing is guessed."""

import pytest

from joint_seg_cls.scan.diseases import class_named, described_class, is_control, labels_word, plain_code

CLASSES = ("MS", "NMOSD")


@pytest.mark.parametrize(
    ("text", "classes", "named"),
    [
        ("ms", CLASSES, "MS"),
        (" NMOSD ", CLASSES, "NMOSD"),
        ("0", CLASSES, None),
        ("1", CLASSES, None),
        ("1.0", CLASSES, None),
        ("", CLASSES, None),
        ("RRMS", CLASSES, None),
        ("1", ("1", "2"), "1"),
        ("2.0", ("1", "2"), "2"),
        ("1", ("01", "1"), "1"),
        ("1.0", ("01", "1"), None),
    ],
)
def test_only_its_name_identifies_a_class(text, classes, named):
    assert class_named(text, classes) == named


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Multiple sclerosis", "MS"),
        ("multiple_sclerosis (MS)", "MS"),
        ("patients with MS", "MS"),
        ("Neuromyelitis Optica Spectrum Disorder (NMOSD)", "NMOSD"),
        ("multiple sclerosis (excluded)", None),
        ("no MS", None),
        ("suspected multiple sclerosis", None),
        ("MS (NMOSD)", None),
        ("relapsing-remitting MS", None),
        ("control", None),
        ("patient", None),
    ],
)
def test_a_description_names_a_class_only_as_a_whole(text, named):
    assert described_class(text, CLASSES) == named


def test_controls_have_their_usual_names():
    assert all(map(is_control, ("control", "Healthy controls", "HC", "healthy control (HC)", "Healthy_Volunteer")))
    assert not any(map(is_control, ("", "MS", "control (MS)", "not a control", "patient")))
    assert described_class("healthy controls", ("HC", "MS")) == "HC"


@pytest.mark.parametrize(
    ("text", "plain"), [("1.0", "1"), ("007", "7"), ("-2.", "-2"), ("0", "0"), ("1.5", "1.5"), (" A  b", "a b")]
)
def test_a_code_has_one_spelling(text, plain):
    assert plain_code(text) == plain


def test_the_suggested_labels_have_each_text_once():
    assert labels_word(["0", "1.0", "1", "RR MS"]) == "'labels={0: null, 1: null, RR MS: null}'"
