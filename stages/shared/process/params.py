"""`params.yaml`: one section of it, read as DVC reads it and checked against a stage's own model."""

import re
import reprlib
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from stages.shared.process.errors import InputError

PATH = Path("params.yaml")


class Section(BaseModel):
    """A stage's section of `params.yaml`: every key is required, none may be added, no type is bent to fit."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


S = TypeVar("S", bound=Section)


def one_of(name: str, table: Iterable[str]) -> str:
    """`name`, for a validator of a param that names an entry of a table; raises `ValueError` where it is none."""
    *others, last = (f"'{key}'" for key in table)
    if f"'{name}'" not in [*others, last]:
        raise ValueError(f"expected {', '.join(others)}{' or ' if others else ''}{last}")
    return name


_MOST_LINES = 20  # of errors in one message

_brief = reprlib.Repr()  # a value in a message: one short line, however deep an alias made it
_brief.maxlevel = 2


def read(section: str, model: type[S], path: Path = PATH) -> S:
    """Read `section` of the file at `path` as a `model`.

    Raises `InputError`, one line for each thing that is wrong, up to twenty: the file missing, empty or not YAML, the
    section missing, a key unknown (with the nearest known one) or missing, a value of the wrong type or out of range.
    """
    document = read_document(path)
    stages = [module.stem for module in Path(__file__).parents[2].glob("*.py")]
    unknown = [name for name in document if name not in stages]
    if unknown:
        raise _errors(path, [_unknown(name, stages) for name in unknown[:_MOST_LINES]], len(unknown))
    if section not in document:
        raise InputError(f"{path}: the section '{section}' is missing; add it with the keys: {', '.join(_keys(model))}")
    return validate(path, [section], model, document[section])


def validate(path: Path, place: Sequence[str], model: type[S], value: object) -> S:
    """`value`, which stands at `place` in the file at `path`, as a `model`; raises `InputError` as `read` does."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)[:_MOST_LINES]
        lines = [_explain(place, model, detail) for detail in details]
        raise _errors(path, lines, error.error_count()) from None


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core schema, which is what DVC reads: `1e-05` is a number, `no` a word, a key stands once.

    PyYAML's own is YAML 1.1. Merge keys are left out as well (a chain of them expands without end), and so is every
    tag that is not plain data.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        counts = Counter(key.value for key, _ in node.value)  # each a scalar: no other kind is hashable
        for key, count in counts.most_common(1):
            if count > 1:
                problem = f"the key {_brief.repr(key)} stands twice"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return mapping

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        return int(self.construct_scalar(node))

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        return float(re.sub(r"\.(inf|nan)$", r"\1", self.construct_scalar(node).lower()))

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
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)


def read_document(path: Path) -> dict[str, Any]:
    """The mapping in the YAML file at `path`, read as DVC reads it; raises `InputError`."""
    try:
        document = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 (it constructs plain data)
    except FileNotFoundError:
        raise InputError(f"{path}: not found; run this from the project's root") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "unknown place"
        raise InputError(f"{path}: not valid YAML at {where}: {' '.join(str(error.problem).split())}") from None
    except (yaml.YAMLError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise InputError(f"{path}: not usable YAML: nested too deeply") from None
    if document is None:
        raise InputError(f"{path}: empty; expected keys with values")
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected keys with values, got {_brief.repr(document)}")
    return document


def _errors(path: Path, lines: Sequence[str], count: int) -> InputError:
    more = [f"and {count - len(lines)} more"] if count > len(lines) else []
    return InputError("\n".join(f"{path}: {line}" for line in [*lines, *more]))


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _unknown(name: object, known: Iterable[str]) -> str:
    nearest = get_close_matches(str(name)[:80], known, n=1, cutoff=0)
    return f"unknown key {_brief.repr(name)}; did you mean '{nearest[0]}'?"


def _explain(place: Sequence[str], model: type[BaseModel], detail: ErrorDetails) -> str:
    *parents, name = detail["loc"] or ("",)
    key = ".".join(map(str, [*place, *detail["loc"]]))
    match detail["type"]:
        case "extra_forbidden":
            where = ".".join(map(str, [*place, *parents]))
            return f"{where}{': ' if where else ''}{_unknown(name, _keys(_inner(model, parents)))}"
        case "missing":
            return f"{key}: missing; add it"
        case "model_type":
            keys = ", ".join(_keys(_inner(model, detail["loc"])))
            return f"{key}: expected the keys {keys}, got {_brief.repr(detail['input'])}"
        case _:
            message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
            return f"{key}: {message}, got {_brief.repr(detail['input'])}"


def _inner(model: type[BaseModel], path: Iterable[int | str]) -> type[BaseModel]:
    """The model of the section that lies at `path` inside that of `model`."""
    for name in path:
        annotation = model.model_fields[str(name)].annotation
        model = annotation if isinstance(annotation, type) else model
    return model
