"""The source tree: locations, lengths and forbidden content."""

import ast
import re
import subprocess
import tomllib
from importlib.metadata import distribution
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
TOP_LEVEL = {"pyproject.toml", "conf", "joint_seg_cls", "experiments", "tests", "Makefile", "README.md"}
TOP_LEVEL |= {"LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"}
MAX_FILE_LINES = 250
MAX_FUNCTION_LINES = 60
MODULES = sorted((ROOT / "joint_seg_cls").rglob("*.py"))


def tracked():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def name_of(path):
    return str(path.relative_to(ROOT))


def test_the_top_level_has_only_the_agreed_names_and_hidden_files():
    assert {path.parts[0] for path in tracked() if not path.parts[0].startswith(".")} <= TOP_LEVEL


def test_no_module_has_a_vague_name():
    vague = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert not [path for path in tracked() if vague & {part.removesuffix(".py") for part in path.parts}]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_are_short(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "no module docstring"
    assert len(text.splitlines()) < MAX_FILE_LINES
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    long = [node.name for node in functions if node.end_lineno - node.lineno >= MAX_FUNCTION_LINES]
    assert not long


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_public_classes_are_abstract_or_final(path):
    """Or records (named tuples), or exceptions that others derive from."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    closed = {"final", "NamedTuple", "TypedDict", "Protocol", "ABC", "Exception"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            marks = {ast.unparse(mark).split("(")[0].split(".")[-1] for mark in [*node.decorator_list, *node.bases]}
            abstract = "abstractmethod" in ast.unparse(node)
            assert abstract or marks & closed, f"{node.name} is neither abstract nor final"


def test_no_file_names_a_local_path():
    place = re.compile(r"(?<![\w.])/(work|tmp|home|root|mnt)/\w")
    texts = {path: (ROOT / path).read_bytes().decode("utf-8", errors="replace") for path in tracked()}
    assert not [str(path) for path, text in texts.items() if place.search(text)]


def locked():
    """Return the pinned version of each package in the lock files."""
    lines = chain(*(path.read_text(encoding="utf-8").splitlines() for path in (ROOT / ".ci").glob("requirements*.txt")))
    pins = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def test_the_lock_files_pin_every_dependency_within_its_range():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = map(Requirement, [*project["dependencies"], *chain(*project["optional-dependencies"].values())])
    pins = locked()
    for requirement in required:
        if requirement.name != project["name"]:
            version = pins[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f"{requirement} does not allow the pinned {version}"


def test_each_locked_package_is_installed_with_its_requirements():
    """The lock is installed without resolving, which would not detect a missing package."""
    pins = locked()
    for line in (ROOT / ".ci" / "requirements.txt").read_text(encoding="utf-8").splitlines()[1:]:
        name, version = line.split("==")
        assert Version(distribution(name).version).public == version
        for requirement in map(Requirement, distribution(name).requires or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                pinned = pins[canonicalize_name(requirement.name)]
                assert requirement.specifier.contains(pinned, prereleases=True), f"{name} requires {requirement}"
