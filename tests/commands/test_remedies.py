"""Every remedy with a key and a value works: each error is provoked and its remedy applied."""

import ast
import re
import shutil
from pathlib import Path

import pytest

import joint_seg_cls
from joint_seg_cls.commands import train as trainings
from joint_seg_cls.data import RandPatchd
from joint_seg_cls.errors import ConfigError

PACKAGE = Path(joint_seg_cls.__file__).parent
#: A key with a value, as a remedy has it; `key=` and `key=...` leave the value to the user.
_WORD = re.compile(r"(?<![\w.{}])((?:[a-z]|\{\})[\w./]*=(?!\.\.\.)(?:\[[^\]]*\]|\{[^}]*\}|(?:[^\s,;:)'\"]|,(?=\S))+))")

#: The test of each remedy: a case below, or another test; or the reason why there is none.
FOLLOWED = {
    ("runs/data_checks.py", "accept=[{}]"): "duplicates",
    ("config/options.py", "network={}"): "part of another network",
    ("config/options.py", "{}={}"): "tests/sweep/test_sweeps.py: a group without an option",
    ("runs/checks.py", "network={}"): "ablated baseline",
    ("runs/checks.py", "ablation={}"): "ablated baseline",
    ("runs/checks.py", "loss/cross_task={}"): "cross task of one",
    ("runs/checks.py", "{}={}"): "two variants",
    ("runs/data_checks.py", "protocol=strict"): "no validation",
    ("commands/cohort.py", "classes=[...]"): "tests/commands/test_remedies_of_readers.py: the user's names",
    ("commands/cohort.py", "disease={}"): "tests/commands/test_remedies_of_readers.py",
    ("training/checked_trainer.py", "trainer.precision={}"): "tests/training/test_errors_before_start.py",
    ("training/schedule.py", "scheduler.interval=step"): "tests/training/test_schedules.py",
    ("training/schedule.py", "scheduler=constant"): "tests/training/test_schedules.py",
    ("training/schedule.py", "trainer.max_epochs=200"): "tests/training/test_schedules.py",
    ("config/keys.py", "{}=[{}]"): "names",
    ("config/keys.py", "{}={}"): "null path",
    ("config/keys.py", '{}={one: two, "#3": four}'): "tests/commands/test_values.py",
    ("sweep/search.py", "hydra.sweeper.storage=null"): "tests/sweep/test_search.py: searches in memory",
    ("sweep/sweeper.py", "hydra/sweeper=optuna"): "interval",
    ("runs/data_checks.py", "protocol=paper"): "no score",
    ("commands/phantom.py", "phantom=randomised"): "tests/training/test_pretraining.py makes a store with it",
    ("commands/compare.py", "modality=[flair,t1]"): "tests/casepage/test_visits.py",
    ("commands/compare.py", "input=[visit1.nii.gz,visit2.nii.gz]"): "tests/casepage/test_visits.py",
    ("commands/predict.py", "accept=[{}]"): "tests/inference/test_predict_many.py",
    ("runs/scans.py", "input=[{}]"): "tests/inference/test_predict_many.py",
    ("runs/scans.py", "source=pattern`"): "tests/inference/test_predict_many.py",
    ("runs/checks.py", "tables=[7]"): "tables",
    ("runs/checks.py", "scheduler.mode={}"): "plateau",
    ("runs/checks.py", "trainer.max_epochs=1"): "fast_dev_run",
    ("runs/checks.py", "trainer.limit_train_batches=1"): "fast_dev_run",
    ("runs/provenance.py", "accept=[{}]"): "tests/training/test_trained_on_test.py",
    ("training/ending.py", "protocol=paper"): "no score, which is refused before the training",
    ("training/fit.py", "trainer.devices=1"): "tests/training/test_several_processes.py",
    ("training/run_folder.py", "accept=[{}]"): "tests/training/test_other_code.py",
    ("data/patches.py", "window=[80,80,80]"): "the test of patches below",
    ("data/held_out.py", "data.folds.held_out=0.2"): "held-out cases",
    ("data/held_out.py", "data.folds.held_out={site: north}"): "its column and value are an example",
    ("data/folds.py", "data.folds.count={}"): "folds",
    ("data/frozen.py", "data/folds=file"): "its data.folds.path is the user's",
    ("data/leave_one_out.py", "data/folds=cross_validation"): "no column",
    ("data/split.py", "data.validation_fraction=0.2"): "fraction",
    ("data/split.py", "data.validation_fraction=0"): "few subjects",
    ("data/split.py", "data.folds.held_out=0.2"): "held out",
    ("data/split_check.py", "data.folds.allow=[missing_cases]"): "missing cases",
    ("data/split_check.py", "data.folds.allow=[leakage]"): "leakage",
    ("data/split_check.py", "data.folds.allow=[empty_class]"): "empty class",
    ("data/split_file.py", "data.folds.allow=[unknown_cases]"): "unknown cases",
    ("audit/finding.py", "accept=[...]"): "its names are the user's",
    ("errors.py", "device=cpu"): "tests/faults/test_memory.py",
    ("export/onnx.py", "onnx=true"): "tests/export/test_bundle.py: without it",
    ("inference/existing.py", "again=true"): "tests/inference/test_predict_many.py",
    ("networks/classification.py", "ablation=only_seg"): "one class",
    ("phantom/anatomies.py", "path=FOLDER"): "its folder is the user's",
    ("phantom/random_appearance.py", "data.augmentation.patch=[80,80,80]"): "its sides are an example",
    ("phantom/random_appearance.py", "phantom=randomised"): "tests/training/test_pretraining.py makes a store with it",
    ("phantom/random_appearance.py", "store=STORE"): "its folder is the user's",
    ("phantom/randomised.py", "phantom.load_ml=[0.4,80]"): "tests/phantom/test_randomised.py",
    ("phantom/randomised.py", "skull=labels"): "tests/phantom/test_randomised.py",
    ("phantom/subject.py", "skull=shell"): "tests/phantom/test_randomised.py",
    ("phantom/subject.py", "phantom=randomised"): "tests/phantom/test_randomised.py",
    ("preprocess/brain.py", "preprocess/brain=bet"): "tests/preprocess/test_remedies_of_steps.py",
    ("preprocess/layout.py", "preprocess.layout.spacing_mm={}"): "tests/preprocess/test_remedies_of_steps.py",
    ("preprocess/registration.py", "preprocess/registration=by_header"): "tests/preprocess/test_remedies_of_steps.py",
    ("preprocess/registration.py", "preprocess/registration=rigid"): "tests/preprocess/test_remedies_of_steps.py",
    ("scan/cohort.py", "out={}"): "tests/commands/test_remedies_of_readers.py",
    ("scan/cohort.py", "classes=[...]"): "its names are the user's",
    ("scan/mask.py", "lesion_value=255"): "an example",
    ("scan/mask.py", "lesion_value=[1,2]"): "an example",
    ("scan/mask.py", "lesion_value={}"): "tests/audit/test_files_and_masks.py, tests/faults/test_lesion_values.py",
    ("scan/readers/bids.py", "source=pattern"): "its patterns are the user's",
    ("scan/readers/dicom.py", "choice.take.flair=[...]"): "its pattern is the user's",
    ("scan/readers/dicom.py", "key=FILE"): "its file is the user's",
    ("scan/readers/write.py", "classes=[...]"): "its names are the user's",
    ("scan/readers/write.py", "out=cohort.tsv"): "tests/commands/test_cohort_command.py",
}


def texts(node):
    """Return the texts of an expression, with {} for interpolated values."""
    if isinstance(node, ast.JoinedStr):
        yield "".join(str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    else:
        for part in ast.iter_child_nodes(node):
            yield from texts(part)


def remedies(path):
    """Return the remedies in a file: keyword arguments, variables, or arguments of functions that refuse."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        is_keyword = isinstance(node, ast.keyword) and node.arg == "remedy"
        targets = node.targets if isinstance(node, ast.Assign) else []
        if is_keyword or any(getattr(each, "id", "") in ("remedy", "_NOT_HERE") for each in targets):
            yield from texts(node.value)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_refusal" and node.args:
            yield from texts(node.args[-1])


def test_every_remedy_with_a_value_is_tested():
    found = {
        (path.relative_to(PACKAGE).as_posix(), word)
        for path in PACKAGE.rglob("*.py")
        for text in remedies(path)
        for word in re.findall(_WORD, text.replace("{{", "{"))
    }
    assert found == FOLLOWED.keys(), (found - FOLLOWED.keys(), FOLLOWED.keys() - found)
    cases = {case.values[0] if hasattr(case, "values") else case[0] for case in CASES}
    cases |= {"names"}
    elsewhere = ("test", "example", "user's", "before the training")
    missing = {reported for reported in FOLLOWED.values() if not any(word in reported for word in elsewhere)} - cases
    assert not missing


@pytest.fixture
def sentence(jsc, tmp_path, monkeypatch):
    """Return a function that trains instantly and returns the exit code and the error."""
    monkeypatch.chdir(tmp_path)

    def fit(plan, tracker):
        plan.run.metrics.write_text("epoch,seconds,val/score\n0,1.0,0.5\n")

    def run(*words):
        code, _, err = jsc(*words)
        lines = [line for line in err.splitlines() if line.startswith("error: ")]
        assert (code == 0) == (not lines), err
        return code, " ".join(lines)

    monkeypatch.setattr(trainings, "_fit", fit)
    monkeypatch.setattr(trainings, "calibrate", lambda *_, **__: None)
    return run


def key_of(word):
    return word.lstrip("+~").partition("=")[0]


def followed(words, error, *, drop):
    """Return a command with its error's remedy applied.

    Args:
        drop: what the remedy says to leave out, or to use something else in place of.
    """
    remedy = error.rpartition("; ")[2].rstrip(".")
    if remedy.startswith("drop"):
        return [word for word in words if word != re.findall(_WORD, remedy)[0]]
    new = [word.rstrip(".") for word in re.findall(_WORD, remedy)]
    flags = ["-m"] if " -m " in remedy else []
    keys = {key_of(word) for word in new} | set(drop)
    return [word for word in words if key_of(word) not in keys] + flags + new


def split_table(folder, rows):
    path = folder / "split.tsv"
    path.write_text("case\tsplit\n" + "".join(f"{name}\t{part}\n" for name, part in rows))
    return ["data/folds=file", f"data.folds.path={path}", "protocol=paper"]


def parts(*, of=8, test=(0, 1), validation=(2, 3)):
    return [
        (f"s{number}", "test" if number in test else "val" if number in validation else "train") for number in range(of)
    ]


def duplicate(store, edit_case):
    for name in ("image.npy", "brain_mask.npy", "lesion_mask.npy", "lesion_mask_native.npz"):
        shutil.copy(store / "s0" / name, store / "s2" / name)
    edit_case(store / "s2")


def one_subject(store, edit_case):
    edit_case(store / "s1", subject="s3")


def one_site(store, edit_case):
    for folder in store.glob("s*/"):
        if (folder / "case.json").is_file():
            edit_case(folder, columns={"site": "north"})


#: Name; command; what the remedy replaces; change of the store, or the split file.
CASES = [
    ("no validation", ["protocol=paper", "protocol.weights=best"], (), None),
    ("no score", ["trainer.limit_val_batches=0"], (), None),
    ("tables", ["tables=[12]"], (), None),
    ("plateau", ["protocol.monitor=val/dice"], (), None),
    ("fast_dev_run", ["trainer.fast_dev_run=true"], ("trainer.fast_dev_run",), None),
    ("folds", ["data.folds.count=9"], (), None),
    ("fraction", ["data.validation_fraction=1.5"], (), None),
    ("held out", ["fold=held_out"], (), None),
    ("held-out cases", ["data.folds.held_out=2"], (), None),
    ("few subjects", ["protocol=paper", "data.folds.kind=strict", "data.validation_fraction=0.3"], (), 4),
    ("no column", ["data/folds=leave_one_site_out"], (), one_site),
    ("ablated baseline", ["network=unet3d", "ablation=no_cross"], (), None),
    ("part of another network", ["network=unet3d", "network/guidance=dot"], (), None),
    ("cross task of one", ["ablation=only_seg", "loss/cross_task=mse"], (), None),
    ("two variants", ["ablation=[joint,dot]", "hydra/launcher=basic"], (), None),
    ("null path", ["runs=null"], (), None),
    ("one class", ["network.classes=1"], ("network.classes",), None),
    ("duplicates", [], (), duplicate),
    ("unknown cases", [("s99", "train")], (), parts(test=(0, 1))),
    ("missing cases", [], (), parts(of=6)),
    ("leakage", [], (), one_subject),
    ("empty class", [], (), parts(test=(0, 2))),
    pytest.param("interval", ["-m", "optimizer.lr=interval(1e-5,1e-2)", "hydra.sweeper.n_trials=1",
                              "hydra/launcher=basic"], (), None, marks=pytest.mark.slow),
]  # fmt: skip


QUICK = ("tables", "folds", "null path", "two variants", "leakage")
CASES = [
    case if hasattr(case, "values") or case[0] in QUICK else pytest.param(*case, marks=pytest.mark.slow)
    for case in CASES
]


@pytest.mark.parametrize(("name", "words", "drop", "made"), CASES)
def test_a_remedy_works(sentence, tiny, make_store, edit_case, tmp_path, name, words, drop, made):
    store = make_store(tmp_path / "store", subjects=made if isinstance(made, int) else 10 if made is one_site else 8)
    if isinstance(made, list):
        words = split_table(tmp_path, [*made, *words])
    elif callable(made):
        made(store, edit_case)
        words = [*words, *(split_table(tmp_path, parts()) if name == "leakage" else ())]
    first = [word for word in words if "n_trials" not in word]  # which the plain sweeper does not have
    tiny = [word for word in tiny if key_of(word) not in {key_of(each) for each in words}]
    if "data/folds=file" in words or "data/folds=leave_one_site_out" in words:
        tiny = [word for word in tiny if key_of(word) != "data.folds.count"]
    if any(word.startswith("network=") for word in words):
        tiny = [word for word in tiny if key_of(word) != "network.channels"]
    command = ["train", f"data.store={store}", *([] if name == "null path" else [f"runs={tmp_path / 'runs'}"]), *tiny]
    code, error = sentence(*command, *first)
    assert code == 2
    again = followed([*command, *words], error, drop=drop)
    assert again != [*command, *words], error
    code, second = sentence(*again)
    assert code == 0, (error, again, second)


@pytest.mark.parametrize(
    ("words", "message"), [(["accept=labels"], "accept=[duplicates]"), (["modalities=x"], "modalities=[flair]")]
)
def test_a_list_is_shown_in_command_line_syntax(sentence, make_store, tmp_path, words, message):
    """`names`: the remedy's word is taken by the same command."""
    command = ["check", f"store={make_store(tmp_path / 'store')}", f"out={tmp_path / 'audit'}", "workers=0"]
    if words == ["modalities=x"]:
        command = ["prepare", "cohort=nowhere.tsv", f"store={tmp_path / 'new'}"]
    code, error = sentence(*command, *words)
    assert code == 2
    assert f"write {message}." in error
    _, second = sentence(*followed([*command, *words], error, drop=()))
    assert "different names" not in second


def test_the_size_in_the_remedy_of_a_patch_is_accepted():
    with pytest.raises(ConfigError, match=r"write window=\[80,80,80\]"):
        RandPatchd([80, 80, 90])
    assert RandPatchd([80, 80, 80]).size == (80, 80, 80)
