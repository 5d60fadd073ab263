"""`params.yaml`: one section of it, read as DVC reads it and checked against a stage's own model."""

import re
import reprlib
from collections.abc import Hashable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from stages.shared.errors import InputError

PATH = Path("params.yaml")


class Section(BaseModel):
    """A stage's section of `params.yaml`: every key is required, none may be added, no type is bent to fit."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


S = TypeVar("S", bound=Section)


def read(section: str, model: type[S], path: Path = PATH) -> S:
    """Read `section` of the file at `path` as a `model`.

    Raises `InputError`, one line for each thing that is wrong: the file missing, empty or not YAML, the section
    missing, a key unknown (with the nearest known one) or missing, a value of the wrong type or out of range.
    """
    document = _load(path)
    stages = [module.stem for module in Path(__file__).parent.parent.glob("*.py")]
    unknown = [f"{path}: {_unknown(name, stages)}" for name in document if name not in stages]
    if unknown:
        raise InputError("\n".join(unknown))
    if section not in document:
        raise InputError(f"{path}: the section '{section}' is missing; add it with the keys: {', '.join(_keys(model))}")
    try:
        return model.model_validate(document[section])
    except ValidationError as error:
        lines = [f"{path}: {_explain(section, model, detail)}" for detail in error.errors()]
        raise InputError("\n".join(lines)) from None


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core schema, which is what DVC reads: `1e-05` is a number, `no` a word, a key stands once.

    PyYAML's own is YAML 1.1. Merge keys are left out as well (a chain of them expands without end), and so is every
    tag that is not plain data.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key '{key}' stands twice", node.start_mark)
        return mapping

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        return int(self.construct_scalar(node))

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Leave `<<` an ordinary key."""


_Loader.yaml_implicit_resolvers = {}
_Loader.yaml_constructors = {
    tag: constructor
    for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in ("null", "bool", "int", "float", "str", "seq", "map")
}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^({_pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def _load(path: Path) -> dict[str, Any]:
    try:
        document = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 (it constructs plain data)
    except FileNotFoundError:
        raise InputError(f"{path}: not found; run this from the project's root") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "unknown place"
        raise InputError(f"{path}: not valid YAML at {where}: {error.problem}") from None
    except (yaml.YAMLError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise InputError(f"{path}: not usable YAML: nested too deeply") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected sections, one a stage, got {reprlib.repr(document)}")
    return document


def _keys(model: type[BaseModel]) -> list[str]:
    return list(model.model_fields)


def _unknown(name: object, known: Iterable[str]) -> str:
    nearest = get_close_matches(str(name), known, n=1, cutoff=0)
    return f"unknown key {reprlib.repr(name)}; did you mean '{nearest[0]}'?"


def _explain(section: str, model: type[BaseModel], detail: ErrorDetails) -> str:
    *parents, name = detail["loc"] or ("",)
    key = ".".join(map(str, [section, *detail["loc"]]))
    match detail["type"]:
        case "extra_forbidden":
            for parent in parents:
                annotation = model.model_fields[str(parent)].annotation
                model = annotation if isinstance(annotation, type) else model
            return f"{'.'.join(map(str, [section, *parents]))}: {_unknown(name, _keys(model))}"
        case "missing":
            return f"{key}: missing; add it"
        case _:
            message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
            return f"{key}: {message}, got {reprlib.repr(detail['input'])}"
