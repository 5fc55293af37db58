"""Annotated types of constructor arguments: a check of plain values, and a description for errors."""

import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def annotations_of(make: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotated argument types of a class of this program; empty if it does not define a constructor."""
    return get_type_hints(vars(make)["__init__"]) if "__init__" in vars(make) else {}


def fits(value: object, hint: Any) -> bool:
    """Return whether a plain value matches an annotated type; an integer is also a float, and a string a path."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, each) for each in inner)
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in inner)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, dict) and all(fits(each, inner[1]) for each in value.values())
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return isinstance(value, list | tuple) and all(fits(each, inner[0]) for each in value)
    accepted: dict[Any, tuple[type, ...]] = {float: (int, float), Path: (str,)}
    return hint is Any or type(value) in accepted.get(hint, (hint,))


def as_text(hint: Any) -> str:
    """Return an annotated type as text for an error: the choices of a ``Literal``, and the name of another type."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(map(as_text, inner))
    if origin is Literal:
        return " or ".join(map(str, inner))
    if hint is types.NoneType:
        return "null"
    return str(hint if inner else getattr(hint, "__name__", hint)).replace("collections.abc.", "")
