"""`params.yaml`: one section of it, read as DVC reads it and checked against a stage's own model."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, ErrorDetails
from pydantic_core.core_schema import no_info_after_validator_function

from stages.shared.process.document import brief, read_document
from stages.shared.process.errors import InputError

PATH = Path("params.yaml")


class Section(BaseModel):
    """A stage's section of `params.yaml`: every key is required, none may be added, no type is bent to fit."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


S = TypeVar("S", bound=Section)


@dataclass(frozen=True)
class OneOf:
    """Annotates a param that names an entry of a table, given by a function since it may be slow to import."""

    table: Callable[[], Iterable[str]]

    def check(self, name: str) -> str:
        """`name`; raises `ValueError` where it is none of the table's."""
        *others, last = (f"'{key}'" for key in self.table())
        if f"'{name}'" not in [*others, last]:
            raise ValueError(f"expected {', '.join(others)}{' or ' if others else ''}{last}")
        return name

    def __get_pydantic_core_schema__(self, kind: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self.check, handler(kind))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(schema) | {"enum": list(self.table())}


_MOST_LINES = 20  # of errors in one message


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


def peek(section: str, key: str, path: Path = PATH) -> Any:
    """What stands there, unchecked, for what has to be settled before all that checks it is imported; or None."""
    values = read_document(path).get(section)
    return values.get(key) if isinstance(values, dict) else None


def validate(path: Path, place: Sequence[str], model: type[S], value: object) -> S:
    """`value`, which stands at `place` in the file at `path`, as a `model`; raises `InputError` as `read` does."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)[:_MOST_LINES]
        lines = [_explain(place, model, detail) for detail in details]
        raise _errors(path, lines, error.error_count()) from None


def _errors(path: Path, lines: Sequence[str], count: int) -> InputError:
    more = [f"and {count - len(lines)} more"] if count > len(lines) else []
    return InputError("\n".join(f"{path}: {line}" for line in [*lines, *more]))


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _unknown(name: object, known: Sequence[str]) -> str:
    near = get_close_matches(str(name)[:80], known, n=1)
    return f"unknown key {brief(name)}; " + (f"did you mean '{near[0]}'?" if near else f"expected {', '.join(known)}")


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
            return f"{key}: expected the keys {keys}, got {brief(detail['input'])}"
        case _:
            message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
            return f"{key}: {message}, got {brief(detail['input'])}"


def _inner(model: type[BaseModel], path: Iterable[int | str]) -> type[BaseModel]:
    """The model of what lies at `path` inside that of `model`."""
    for name in path:
        fields = [field for key, field in model.model_fields.items() if name in (key, field.alias)]
        model = next((inner for field in fields for inner in _models(field.annotation)), model)
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation, such as dict[str, File] | None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


_NAMES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true | false",
    "null": "empty",
}
_BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def describe(model: type[Section]) -> str:
    """The keys of a section, each with what it may be, a line a key."""
    schemas = {name: _words(schema) for name, schema in model.model_json_schema()["properties"].items()}
    width = max(map(len, schemas))
    return "\n".join(f"  {name:{width}}  {words}" for name, words in schemas.items())


def _words(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return ", or ".join(map(_words, schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return " | ".join(map(str, schema.get("enum") or [schema["const"]]))
    if schema["type"] == "array":
        length = f"{schema.get('minItems', 0)} to {schema['maxItems']}" if "maxItems" in schema else "any number"
        return f"a list of {length}, each {_words(schema['items'])}"
    bounds = " and ".join(f"{sign} {schema[key]}" for key, sign in _BOUNDS.items() if key in schema)
    return f"{_NAMES[schema['type']]} {bounds}".rstrip()
