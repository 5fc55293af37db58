"""Source files that a bundle carries, so that it runs without this package: copies with other imports.

Carried are the modules that the bundle's own code and its preprocessing steps import, each where it defines a name.
An import from a package of this program becomes one from the carried module that defines the name. The preprocessing
and the prediction of a bundle are thus those of this program, not a second implementation.
"""

import ast
import importlib.metadata
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import final

from joint_seg_cls import __version__
from joint_seg_cls.atomic_write import write_text

#: The package of this program, its folder, and the package of a bundle's sources.
_PACKAGE, _FOLDER, SCRIPTS = "joint_seg_cls", Path(__file__).resolve().parents[1], "scripts"
#: Modules of the bundle's own code.
ENTRIES = (f"{_PACKAGE}.export.loaded", f"{_PACKAGE}.export.transforms")
#: Packages imported within a function, by the classes that need them.
LAZY = {"SimpleITK": ("N4", "Rigid")}
#: Packages that `python -m monai.bundle` needs, in addition to the imports of the copied modules.
_ALWAYS = ("monai", "torch", "fire")


@final
class Carried:
    """The modules that a bundle carries.

    Args:
        entries: names of modules that it starts from; what they import is added.
    """

    def __init__(self, entries: Iterable[str] = ENTRIES) -> None:
        self.sources: dict[str, str] = {}
        #: Imported packages of others, at the top of a module.
        self.packages: set[str] = set()
        waiting = [_PACKAGE, *entries]
        while waiting:
            module = waiting.pop()
            if module not in self.sources:
                self.sources[module], inner = self._carry(module)
                waiting += inner

    def write(self, folder: Path) -> None:
        """Write the package ``scripts`` to ``folder``."""
        for module, source in self.sources.items():
            path = folder / _place(module)
            for parent in path.relative_to(folder).parents:
                (folder / parent).mkdir(parents=True, exist_ok=True)
                if parent != Path() and not (folder / parent / "__init__.py").exists():
                    write_text(folder / parent / "__init__.py", "")
            write_text(path, source)

    def requirements(self, classes: Iterable[str]) -> list[str]:
        """Return the packages to install, with the versions that this program asks for.

        Args:
            classes: of the preprocessing steps.
        """
        used = set(classes)
        names = {*self.packages, *_ALWAYS, *(name for name, needing in LAZY.items() if used & set(needing))}
        distributions = importlib.metadata.packages_distributions()
        ranges = _ranges()
        wanted = {distributions.get(name, [name])[0] for name in names - sys.stdlib_module_names}
        return sorted(ranges.get(_normal(name), name) for name in wanted)

    def _carry(self, module: str) -> tuple[str, list[str]]:
        """Return the source of a module with its imports rewritten, and the modules that it imports."""
        if module == _PACKAGE:
            return f'"""Copied from {_PACKAGE} {__version__} (Apache-2.0)."""\n\n__version__ = "{__version__}"\n', []
        source = _file(module).read_text(encoding="utf-8")
        tree = ast.parse(source)
        lines = source.splitlines(keepends=True)
        inner: list[str] = []
        top = {id(node) for node in tree.body}
        found = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        for node in sorted(found, key=lambda node: node.lineno, reverse=True):
            if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == _PACKAGE:
                homes = {alias.name: home_of(str(node.module), alias.name) for alias in node.names}
                inner += homes.values()
                lines[node.lineno - 1 : node.end_lineno] = _imports(node, homes)
            elif id(node) in top:
                names = [str(node.module)] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
                self.packages |= {name.partition(".")[0] for name in names}
        return "".join(lines), inner


def home_of(module: str, name: str) -> str:
    """Return the module that defines ``name``, which a package may only import: ``...scan`` and ``Grid`` give
    ``...scan.grid``.
    """  # noqa: D205 - one sentence
    path = _file(module)
    if path.name != "__init__.py":
        return module
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            return home_of(str(node.module), name)
    submodule = f"{module}.{name}"
    return submodule if _file(submodule).is_file() else module


def carried_name(module: str) -> str:
    """Return the name of a module within a bundle."""
    inner = module.removeprefix(_PACKAGE).removeprefix(".").removeprefix("export.")
    return f"{SCRIPTS}.{inner}" if inner else SCRIPTS


def _imports(node: ast.ImportFrom, homes: Mapping[str, str]) -> list[str]:
    indent = " " * node.col_offset
    return [
        f"{indent}from {carried_name(home)} import "
        + ", ".join(
            alias.name if alias.asname is None else f"{alias.name} as {alias.asname}"
            for alias in node.names
            if homes[alias.name] == home
        )
        + "\n"
        for home in dict.fromkeys(homes.values())
    ]


def _file(module: str) -> Path:
    path = _FOLDER.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_name(f"{path.name}.py")


def _place(module: str) -> Path:
    name = carried_name(module)
    return Path(SCRIPTS, "__init__.py") if name == SCRIPTS else Path(*name.split(".")).with_suffix(".py")


def _ranges() -> dict[str, str]:
    """Return the requirements of this program by name, those of its extras included."""
    found: dict[str, str] = {}
    for text in importlib.metadata.requires(_PACKAGE) or []:
        requirement = text.partition(";")[0].strip()
        name = requirement
        for mark in "<>=!~[ ":
            name = name.partition(mark)[0]
        found.setdefault(_normal(name), requirement)
    return found


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")
