"""What the pages tell a person to type is understood, and does what they say."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import pandas as pd
import pytest
import yaml

from joint_seg_cls.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
RUN = "runs/store/joint/fold-0_seed-0"
#: What is not for a test's few minutes is made small.
SMALL = {
    "prepare": ("image_size=32", "preprocess/bias_field=none"),
    "train": ("network.channels=4", "trainer.max_epochs=1", "trainer.accelerator=cpu", "tracking=none"),
    "evaluate": ("device=cpu",),
    "predict": ("device=cpu",),
}  # fmt: skip


def shell_blocks(page):
    """Return the commands of each of a page's shell blocks, as lists of words without comments."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [block.replace("\\\n", " ").splitlines() for block in blocks]
    return [[words for line in block if (words := shlex.split(line, comments=True))] for block in lines]


def shell_lines(page):
    """Return the commands of all shell blocks of a page."""
    return [words for block in shell_blocks(page) for words in block]


def inline(page):
    """Return the commands that stand within the text, those with a place for the reader's words left out."""
    text = (ROOT / page).read_text(encoding="utf-8")
    said = re.findall(r"`(jsc [^`\n]*=[^`\n]*)`", text)
    return [shlex.split(command) for command in said if "..." not in command]


def examples(command):
    """Return the examples of a command's help."""
    footer = yaml.safe_load((ROOT / "conf" / "hydra" / "help" / f"{command}.yaml").read_text(encoding="utf-8"))[
        "footer"
    ]
    lines = [line.partition("   (")[0] for line in footer.replace("\\\n", " ").splitlines()]
    return [shlex.split(line) for line in lines if line.strip().startswith("jsc ")]


def told():
    pages = [words for page in ("README.md", "CONTRIBUTING.md") for words in (*shell_lines(page), *inline(page))]
    return [words for words in (*pages, *(each for name in COMMANDS for each in examples(name))) if words[0] == "jsc"]


def test_the_pages_show_every_command_and_the_help_has_examples():
    assert {words[1] for words in shell_lines("README.md") if words[0] == "jsc"} >= set(COMMANDS) - {
        "phantom",
        "status",
    }
    assert all(examples(command) for command in COMMANDS)
    targets = {line.partition(":")[0] for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()}
    made = {words[1] for page in ("README.md", "CONTRIBUTING.md") for words in shell_lines(page) if words[0] == "make"}
    assert {"demo", "test"} <= made <= targets


@pytest.mark.parametrize("words", told(), ids=" ".join)
def test_what_the_pages_tell_to_type_is_understood(jsc, tmp_path, monkeypatch, words):
    """The configuration composes: no key, group or option of it is misspelt."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder" / "ablation").mkdir(parents=True)
    (tmp_path / "folder" / "ablation" / "mine.yaml").write_text("# @package _global_\nseed: 7\n")
    once = [
        word.split(",")[0] if re.fullmatch(r"[\w.]+=\w+(,\w+)+", word) else word for word in words[1:] if word != "-m"
    ]
    code, out, err = jsc(*once, "--cfg", "job")
    assert code == 0, err
    assert out.strip()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "experiments/README.md"])
def test_files_that_a_page_points_to_are_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    files = [file for file in re.findall(r"\]\(([^)#\s]+)\)", text) if not file.startswith("http")]
    assert [file for file in files if not (ROOT / page).parent.joinpath(file).exists()] == []


def test_the_groups_that_the_readme_lists_have_the_options_it_lists():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for group in ("ablation", "protocol", "data/augmentation", "width", "experiment"):
        (row,) = re.findall(rf"^\| `{group}` \|(.*)\|$", text, re.MULTILINE)
        options = {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}
        assert options == set(re.findall(r"`([a-z_0-9]+)`", row)) & options, group
    (row,) = re.findall(r"^\| `network` \|(.*)\|$", text, re.MULTILINE)
    assert {path.stem for path in (ROOT / "conf" / "network").glob("*.yaml")} == set(re.findall(r"`(\w+)`", row))


# ------------------------------------------------------------------------------------------ the commands, carried out
@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the README's files lie: a cohort of ten, another of four, a scan."""
    from joint_seg_cls.cli.main import main

    folder = tmp_path_factory.mktemp("a reader's folder")
    main(["phantom", f"out={folder}", "subjects=10", "spacing_mm=2", "workers=0"])
    table = pd.read_csv(folder / "cohort.tsv", sep="\t", dtype=str)
    table.head(4).to_csv(folder / "other.tsv", sep="\t", index=False)
    shutil.copy(folder / table["flair"][0], folder / "scan.nii.gz")
    return folder


def carry_out(words, folder):
    command = [sys.executable, "-m", "joint_seg_cls", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def sources(folder):
    """Lay the cohort's first scans out as each source of `jsc cohort` expects them; DICOM has tests of its own."""
    table = pd.read_csv(folder / "cohort.tsv", sep="\t", dtype=str)
    flair, mask = folder / table["flair"][0], folder / table["lesion_mask"][0]
    placed = {
        "study/sub-01/anat/sub-01_FLAIR.nii.gz": flair,
        "train/P1/T1/P1_T1_FLAIR.nii.gz": flair,
        "train/P1/T1/P1_T1_MASK.nii.gz": mask,
        "scans/p1/v1/x_FLAIR.nii.gz": flair,
        "scans/p1/v1/x_MASK.nii.gz": mask,
    }
    for place, source in placed.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, folder / place)
    for kind, source in (("preprocessed/training01_01_flair_pp.nii", flair), ("masks/training01_01_mask1.nii", mask)):
        (folder / "archive/training01" / kind).parent.mkdir(parents=True)
        nib.save(nib.load(source), folder / "archive/training01" / kind)
    (folder / "study/participants.tsv").write_text("participant_id\tgroup\nsub-01\tpatient\n")
    (folder / "list.csv").write_text("subject,FLAIR_path,dx\np1,scan.nii.gz,MS\n")
    return [
        words for words in shell_lines("README.md") if words[:2] == ["jsc", "cohort"] and "source=dicom" not in words
    ]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_source_of_the_readme_becomes_a_table(folder):
    for number, words in enumerate(sources(folder)):
        out = f"table{number}.tsv"
        carry_out([word.replace("cohort.tsv", out) for word in words[1:]], folder)
        assert list(pd.read_csv(folder / out, sep="\t", dtype=str)["disease"]) == ["MS"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_commands_of_the_readme_go_all_the_way(folder):
    (lines,) = (block for block in shell_blocks("README.md") if ["jsc", "prepare"] in [words[:2] for words in block])
    assert [words[1] for words in lines] == ["check", "prepare", "train", "train", "evaluate", "predict"]
    for words in lines:
        there = sorted(folder.glob("runs/store/joint+*/fold-0_seed-0"))  # the small settings stand in its name
        typed = [word.replace(RUN, str(there[0])) if RUN in word else word for word in words[1:]]
        carry_out([*typed, *SMALL.get(words[1], ())], folder)
    assert (folder / "audit" / "audit.html").is_file()
    assert len(list(folder.glob("runs/store/*/fold-*_seed-0/DONE"))) == 10
    assert list(folder.glob("runs/store/joint+*/fold-0_seed-0/evaluations/*/per_case.csv"))
    assert (folder / "findings" / "scan_lesions.nii.gz").is_file()
