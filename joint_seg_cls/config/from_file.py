"""Building objects from configurations stored in checkpoints and run folders, which may be untrusted.

Hydra is not used: a configuration is plain data, names are looked up in :mod:`.trusted`, and arguments are passed
unchanged. The whole configuration is checked before anything is built.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from joint_seg_cls.config.annotations import annotations_of, as_text, fits
from joint_seg_cls.config.trusted import Kind, TrustedPart, find_part, is_of_kind, suggestion
from joint_seg_cls.errors import CheckpointError, InputError, reason_of
from joint_seg_cls.training import not_plain, shown

#: Exceptions of constructors for invalid arguments.
OF_ARGUMENTS = (
    TypeError, ValueError, ImportError, AttributeError, LookupError, ArithmeticError, RuntimeError, AssertionError,
    MemoryError,
)  # fmt: skip
_TARGET = "_target_"
_REMEDY = "use a file written by jsc train"


@final
@dataclass(frozen=True)
class Recorded:
    """A checked configuration, which can be built repeatedly.

    Args:
        where: the file that contains it.
        arguments: plain values and nested parts.
    """

    where: str
    part: TrustedPart
    arguments: Mapping[str, Any]

    @property
    def is_known(self) -> bool:
        """Whether all parts are in the table, none from a trusted package."""
        return self.part.kind is not None and all(each.is_known for each in _inner(self.arguments))

    def build(self) -> Any:
        """Build the object.

        Raises:
            CheckpointError: a part refuses its arguments.
        """
        try:
            return self.make()
        except InputError as error:
            raise of_file(error, self.where) from error
        except OF_ARGUMENTS as error:
            raise CheckpointError(
                self.where,
                expected=f"valid arguments for {self.part.make.__name__} and its parts",
                found=reason_of(error),
                remedy=_REMEDY,
            ) from error

    def make(self) -> Any:
        """Build the object without converting exceptions of constructors."""
        return self.part.make(**{name: _made(value) for name, value in self.arguments.items()})


def check_recorded(config: object, where: str | Path, kind: Kind, trust: Sequence[str] = ()) -> Recorded:
    """Check a configuration from a file and return it ready to build.

    Args:
        kind: the kind of its outermost part.
        trust: additional packages whose classes are allowed.

    Raises:
        CheckpointError: the configuration is not plain data, a name is not in the table, a part is in the wrong place,
            or an argument is unknown, of the wrong type or too large.
    """
    if (fault := not_plain(config)) is not None:
        raise CheckpointError(where, expected=f"plain values in the {kind}", found=fault, remedy=_REMEDY)
    trusted = [trust] if isinstance(trust, str) else [str(package) for package in trust]
    return _Reader(str(where), trusted).part(config, kind, kind)


def build_trusted(config: object, where: str | Path, kind: Kind, trust: Sequence[str] = ()) -> Any:
    """Build a configuration from a file (see :func:`check_recorded`).

    Raises:
        CheckpointError: the check fails, or a part refuses its arguments.
    """
    return check_recorded(config, where, kind, trust).build()


def of_file(error: InputError, where: str | Path) -> CheckpointError:
    """Return a part's error as an error of the file that contains its arguments."""
    if isinstance(error, CheckpointError) and error.where == str(where):
        return error
    return CheckpointError(where, expected=f"{error.expected} ({error.where})", found=error.found, remedy=_REMEDY)


@final
class _Reader:
    """Recursive check of one configuration, from the outermost part inwards."""

    def __init__(self, where: str, trust: Sequence[str]) -> None:
        self._where, self._trust = where, trust

    def part(self, config: object, kind: Kind | None, place: str) -> Recorded:
        if not isinstance(config, dict) or _TARGET not in config:
            raise self._refusal(place, "a part with a _target_", shown(config))
        target = config[_TARGET]
        part = self._look_up(target, kind, place)
        given = {name: value for name, value in config.items() if name != _TARGET}
        for name in given:
            if name.startswith("_") or not name.isidentifier():
                raise self._refusal(place, "argument names", shown(name))
        if part.kind is None:
            return Recorded(self._where, part, {name: self._any(value, place) for name, value in given.items()})
        self._check_names(part, given, place)
        hints = annotations_of(part.make) if part.is_ours else {}
        arguments = {}
        for name, value in given.items():
            inner = f"{place}.{name}"
            if name in part.parts and value is not None:
                several = isinstance(value, list) and name == "transforms"
                read = [self.part(each, part.parts[name], inner) for each in (value if several else [value])]
                arguments[name] = read if several else read[0]
                continue
            self._check_value(value, part.most.get(name, part.most_else), inner)
            if name in hints and not fits(value, hints[name]):
                raise self._refusal(inner, as_text(hints[name]), shown(value))
            arguments[name] = value
        return Recorded(self._where, part, arguments)

    def _look_up(self, target: object, kind: Kind | None, place: str) -> TrustedPart:
        expected = f"an allowed class for {kind or 'an argument'}"
        if not isinstance(target, str):
            raise self._refusal(place, expected, shown(target))
        try:
            part = find_part(target, self._trust)
        except (ImportError, SyntaxError) as error:
            raise CheckpointError(
                self._where,
                expected=f"{place} from a package that can be imported",
                found=f"{shown(target)} ({reason_of(error)})",
                remedy="install its dependencies",
            ) from error
        if part is not None and (kind is None or is_of_kind(part, kind)):
            return part
        package = suggestion(target)
        found = shown(target)
        if part is not None:
            found += f", which is {'not a class of that kind' if part.kind is None else f'a {part.kind} part'}"
        elif package in self._trust:
            found += f", which is not a class defined in {package}"
        elif package is not None:
            raise self._refusal(place, expected, found, f"if you trust its author, add trust=[{package}]")
        raise self._refusal(place, expected, found)

    def _check_names(self, part: TrustedPart, given: Mapping[str, object], place: str) -> None:
        signature = inspect.signature(part.make)
        try:
            bound = signature.bind(**given)
        except TypeError as error:
            raise self._refusal(place, f"valid arguments for {part.make.__name__}", reason_of(error)) from None
        bound.apply_defaults()
        for name, value in part.fixed.items():
            found = bound.arguments.get(name, value)
            if found is not value:
                raise self._refusal(f"{place}.{name}", str(value).lower(), shown(found))

    def _check_value(self, value: object, most: int | float, place: str) -> None:
        """Refuse nested parts, interpolations and large numbers in a plain value."""
        if isinstance(value, str) and "${" in value:
            raise self._refusal(place, "plain text", shown(value))
        if isinstance(value, int | float) and abs(value) > most:
            raise self._refusal(place, f"at most {most:,.0f}", shown(value))
        if isinstance(value, dict):
            for key in value:
                if key.startswith("_") or "${" in key:
                    raise self._refusal(place, "plain values without parts", shown(key))
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
            self._check_value(each, most, place)

    def _any(self, value: object, place: str) -> Any:
        """Return an argument of a trusted package's class, including nested parts."""
        if isinstance(value, dict) and _TARGET in value:
            return self.part(value, None, place)
        if isinstance(value, dict):
            for key in value:
                self._check_value({key: None}, 0, place)
            return {key: self._any(each, place) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._any(each, place) for each in value]
        self._check_value(value, float("inf"), place)
        return value

    def _refusal(self, place: str, expected: str, found: str, remedy: str = _REMEDY) -> CheckpointError:
        return CheckpointError(self._where, expected=f"{expected} at {place}", found=found, remedy=remedy)


def _inner(value: Any) -> list[Recorded]:
    if isinstance(value, Recorded):
        return [value]
    values = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [found for each in values for found in _inner(each)]


def _made(value: Any) -> Any:
    if isinstance(value, Recorded):
        return value.make()
    if isinstance(value, dict):
        return {name: _made(each) for name, each in value.items()}
    return [_made(each) for each in value] if isinstance(value, list | tuple) else value
