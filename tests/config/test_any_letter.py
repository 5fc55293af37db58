"""Paths and names with arbitrary characters, everywhere on the command line."""

import shutil

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given, settings
from hypothesis import strategies as st

from joint_seg_cls.config.grammar import as_text, as_value, quoted, readable
from joint_seg_cls.sweep.sweeper import combinations

#: Letters of several scripts, one written from right to left, an emoji, and all signs of Hydra's grammar.
SIGNS = "ab 1é李ßש\u0301\u202e😀=[]{}()'\"$#\\,:;~!@%&*?<>|^`/+-.\t"
TEXTS = st.text(SIGNS, min_size=1, max_size=12) | st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=12
)
ODD = "Müller (2) #李, =x' שלום 😀"


def parsed(word):
    return OverridesParser.create().parse_override(word)


def is_meant_as_grammar(text):
    return "${" in text or text.lower() == "null" or text[:1] + text[-1:] in ("''", '""', "[]")


@settings(max_examples=400, deadline=None)
@given(TEXTS.filter(lambda text: not is_meant_as_grammar(text)), st.sampled_from(["out", "data.store", "study"]))
def test_text_is_passed_unchanged(text, key):
    found = parsed(readable(f"{key}={text}", multirun=False))
    assert (found.value(), found.is_sweep_override()) == (text, False)


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_quoting_is_reversible_and_idempotent(text):
    assert parsed(f"x={quoted(text)}").value() == text
    assert parsed(f"x={as_text(text)}").value() == text
    assert as_value(quoted(text)) == quoted(text)
    assert as_value(as_value(text)) == as_value(text)


@settings(max_examples=200, deadline=None)
@example(["1", "NULL"])
@given(st.lists(TEXTS.filter(lambda text: not set(text) & set("'\"[]{}(),$\\:") and text.strip()), min_size=2))
def test_words_of_lists_sweeps_and_functions_are_quoted_separately(words):
    def swept(word):
        jobs = combinations([parsed(f"x={word}")])
        return [str(parsed(each).value()) for (each,) in jobs]

    requested = [word.strip() for word in words]
    typed = ",".join(words)
    expected = [str(parsed(f"x={as_value(word)}").value()) for word in requested]
    assert [str(each) for each in parsed(f"x={as_value(f'[{typed}]')}").value()] == expected
    assert swept(as_value(typed)) == expected
    is_argument = not any(word.lower() == "null" for word in requested) and "=" not in typed
    if is_argument:  # Hydra's choice() refuses null and reads a=1 as a keyword argument
        assert swept(as_value(f"choice({typed})")) == expected


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("fold=range(5)", "fold=range(5)"),
        ("optimizer.lr=tag(log,interval(1e-5,1e-2))", "optimizer.lr=tag(log,interval(1e-5,1e-2))"),
        ("fold=choice(Jena,Köln)", "fold=choice(Jena,'Köln')"),
        ("variant=glob(only_*,exclude=only_s*)", "variant=glob(only_*,exclude=only_s*)"),
        ("x={a: b, c: [1,é]}", "x={a: b, c: [1,'é']}"),
        ("out=${cohort}/Müller", "out='${cohort}/Müller'"),
        ("fold=a\\,b", "fold=a\\,b"),
        ("study=2024", "study='2024'"),
        ("out=1e5", "out='1e5'"),
        ("out=null", "out=null"),
        ("fold=Sainte-Anne (2)", "fold='Sainte-Anne (2)'"),
        ("hydra.sweeper.storage=sqlite:///é=1.db", "hydra.sweeper.storage='sqlite:///é=1.db'"),
        ("trainer.callbacks=[{_target_: own.Ä}]", "++trainer.callbacks=[{_target_:'own.Ä'}]"),
    ],
)
def test_grammar_is_unchanged(typed, read):
    assert readable(typed, multirun=True) == read
    parsed(read)


def test_keys_of_a_mapping_may_be_any_text():
    from omegaconf import OmegaConf

    from joint_seg_cls.config import resolvers

    resolvers.register()
    config = OmegaConf.create({"x": parsed(f"x={as_value('{多发性硬化: MS, a#b: null}')}").value()})
    assert OmegaConf.to_container(config, resolve=True) == {"x": {"多发性硬化": "MS", "a#b": None}}


@pytest.mark.parametrize("word", ["Müller=3", "ü", "fold=1,,2"])
def test_an_invalid_override_is_named(jsc, word):
    code, _, err = jsc("train", "data.store=x", word)
    assert (code, err.count("error:")) == (2, 1), err
    assert f"found {word};" in err


@pytest.fixture
def place(store, tmp_path):
    """Return a folder with an unusual name that contains a store and a user's ablation."""
    folder = tmp_path / ODD
    own = folder / "own"
    (own / "ablation").mkdir(parents=True)
    (own / "ablation" / "größer.yaml").write_text("# @package _global_\noptimizer:\n  lr: 0.01\n", encoding="utf-8")
    shutil.move(store, folder / ODD)
    return folder


def test_a_sweep_over_unusual_names_runs_once(jsc, tiny, place, monkeypatch):
    from joint_seg_cls.commands import train

    ran = []

    def fit(plan, tracker):
        ran.append(plan.location.base)
        plan.run.metrics.write_text("epoch,seconds\n0,1.0\n")

    monkeypatch.setattr(train, "_fit", fit)
    monkeypatch.setattr(train, "calibrate", lambda *_, **__: None)
    words = (f"data.store={place / ODD}", f"runs={place / 'Läufe'}", "--config-dir", str(place / "own"))
    sweep = ("train", "-m", *words, *tiny, "study=李明", "hydra/launcher=basic", "ablation=joint,größer")
    code, _, err = jsc(*sweep)
    assert code == 0, err
    assert ran == ["joint", "größer"]
    assert (place / "Läufe" / ODD / "studies" / "李明.json").is_file()
    code, _, err = jsc(*sweep)
    assert (code, len(ran)) == (0, 2), err
    code, out, err = jsc("status", "study=李明", f"runs={place / 'Läufe'}", f"collection={ODD}")
    assert code == 0, err
    assert "2 runs, 2 done" in out


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_works_in_a_folder_with_an_unusual_name(jsc, tiny, place):
    runs, cohort = place / "Läufe", place / "Kohorte ü"
    small = ("image_size=16", "preprocess/bias_field=none", "workers=0")
    steps = [
        ("phantom", f"out={cohort}", "subjects=8", "spacing_mm=2", "workers=0"),
        ("check", f"cohort={cohort / 'cohort.tsv'}", f"out={place / 'Prüfung'}", "workers=0"),
        ("cohort", "source=table", f"path={cohort / 'cohort.tsv'}", f"out={cohort / '表.tsv'}"),
        ("prepare", f"cohort={cohort / '表.tsv'}", f"store={place / 'Speicher'}", *small),
        ("train", "-m", f"data.store={place / 'Speicher'}", f"runs={runs}", "study=研究 1", *tiny[:-1], "fold=0,1",
         "accept=[labels]"),
        ("evaluate", f"run={runs / 'Speicher' / 'joint+data.folds.count-2+network.channels-4+trainer.max_epochs-1'}"
         "/fold-0_seed-0", f"cohort={cohort / '表.tsv'}", "name=früh"),
        ("predict", f"input={cohort / '表.tsv'}", f"out={place / 'Befunde'}",
         f"checkpoint={runs / 'Speicher' / 'joint+data.folds.count-2+network.channels-4+trainer.max_epochs-1'}"
         "/fold-0_seed-0"),
        ("report", "study=研究 1", f"runs={runs}", f"out={place / 'Bericht'}"),
    ]  # fmt: skip
    for words in steps:
        code, _, err = jsc(*words)
        assert code == 0, (words, err)
    assert (place / "Bericht" / "index.html").is_file()
    assert list((place / "Befunde").rglob("*.nii.gz"))
