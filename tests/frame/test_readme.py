"""The commands in README and CONTRIBUTING.md compose, and those of the README run."""

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
#: Overrides that make a command fast enough for a test.
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


def yaml_block(page):
    """Return the first YAML block of a page."""
    return re.search(r"^```yaml\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[1]


def inline(page):
    """Return the commands inside the text of a page, except those with an ellipsis."""
    text = (ROOT / page).read_text(encoding="utf-8")
    commands = re.findall(r"`(jsc [^`\n]*=[^`\n]*)`", text)
    return [shlex.split(command) for command in commands if "..." not in command]


def examples(command):
    """Return the examples in the help of a command."""
    footer = yaml.safe_load((ROOT / "conf" / "hydra" / "help" / f"{command}.yaml").read_text(encoding="utf-8"))[
        "footer"
    ]
    lines = [line.partition("   (")[0] for line in footer.replace("\\\n", " ").splitlines()]
    return [shlex.split(line) for line in lines if line.strip().startswith("jsc ")]


def documented_commands():
    pages = [words for page in ("README.md", "CONTRIBUTING.md") for words in (*shell_lines(page), *inline(page))]
    return [words for words in (*pages, *(each for name in COMMANDS for each in examples(name))) if words[0] == "jsc"]


def test_the_readme_shows_every_command_and_each_help_has_examples():
    assert {words[1] for words in shell_lines("README.md") if words[0] == "jsc"} >= set(COMMANDS) - {
        "phantom",
        "status",
    }
    assert all(examples(command) for command in COMMANDS)
    targets = {line.partition(":")[0] for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()}
    made = {words[1] for page in ("README.md", "CONTRIBUTING.md") for words in shell_lines(page) if words[0] == "make"}
    assert {"demo", "test"} <= made <= targets


@pytest.mark.parametrize("words", documented_commands(), ids=" ".join)
def test_a_documented_command_composes(jsc, tmp_path, monkeypatch, words):
    """No key, group or option is misspelt."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder" / "ablation").mkdir(parents=True)
    (tmp_path / "folder" / "ablation" / "mine.yaml").write_text(yaml_block("README.md"))
    once = [
        word.split(",")[0] if re.fullmatch(r"[\w.]+=\w+(,\w+)+", word) else word for word in words[1:] if word != "-m"
    ]
    code, out, err = jsc(*once, "--cfg", "job")
    assert code == 0, err
    assert out.strip()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "experiments/README.md"])
def test_linked_files_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    files = [file for file in re.findall(r"\]\(([^)#\s]+)\)", text) if not file.startswith("http")]
    assert [file for file in files if not (ROOT / page).parent.joinpath(file).exists()] == []


def test_the_readme_lists_the_options_of_each_group():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for group in ("ablation", "protocol", "data/augmentation", "width", "experiment"):
        (row,) = re.findall(rf"^\| `{group}` \|(.*)\|$", text, re.MULTILINE)
        options = {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}
        assert options == set(re.findall(r"`([a-z_0-9]+)`", row)) & options, group
    (row,) = re.findall(r"^\| `network` \|(.*)\|$", text, re.MULTILINE)
    assert {path.stem for path in (ROOT / "conf" / "network").glob("*.yaml")} == set(re.findall(r"`(\w+)`", row))


# ------------------------------------------------------------------------------------------ running the commands
@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files named in the README: a cohort of ten, another of four, a scan."""
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
    """Copy the first scans of the cohort into the layout of each source of `jsc cohort`, except DICOM."""
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
def test_each_source_in_the_readme_gives_a_cohort_table(folder):
    for number, words in enumerate(sources(folder)):
        out = f"table{number}.tsv"
        carry_out([word.replace("cohort.tsv", out) for word in words[1:]], folder)
        assert list(pd.read_csv(folder / out, sep="\t", dtype=str)["disease"]) == ["MS"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_commands_in_the_readme_run_from_cohort_to_prediction(folder):
    blocks = shell_blocks("README.md")
    (lines,) = (block for block in blocks if ["jsc", "check"] in [words[:2] for words in block])
    lines = [*lines, *(words for words in blocks[1] if words[:2] == ["jsc", "predict"])]
    assert [words[1] for words in lines] == ["check", "prepare", "train", "train", "evaluate", "predict", "predict"]
    for words in lines:
        there = sorted(folder.glob("runs/store/joint+*/fold-0_seed-0"))  # its name contains the small settings
        typed = [word.replace(RUN, str(there[0])) if RUN in word else word for word in words[1:]]
        carry_out([*typed, *SMALL.get(words[1], ())], folder)
    assert (folder / "audit" / "audit.html").is_file()
    assert len(list(folder.glob("runs/store/*/fold-*_seed-0/DONE"))) == 10
    assert list(folder.glob("runs/store/joint+*/fold-0_seed-0/evaluations/*/per_case.csv"))
    assert (folder / "findings" / "scan_lesions.nii.gz").is_file()
