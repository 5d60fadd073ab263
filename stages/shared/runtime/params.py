"""Read a stage's section of `params.yaml` as DVC does, and validate it with the stage's model."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, ErrorDetails
from pydantic_core.core_schema import no_info_after_validator_function

from stages.shared.runtime.errors import InputError
from stages.shared.runtime.yaml_reader import brief, read_document

PATH = Path("params.yaml")


class Section(BaseModel):
    """Base class for the model of a section: all keys are required, others are refused, and types are not converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


S = TypeVar("S", bound=Section)


@dataclass(frozen=True)
class OneOf:
    """Annotation of a param whose value must be a key of a table.

    The table is given as a function that returns it, because importing it may be slow.
    """

    table: Callable[[], Iterable[str]]

    def check(self, name: str) -> str:
        """Return `name`; raise `ValueError` if the table has no such key."""
        *others, last = (f"'{key}'" for key in self.table())
        if f"'{name}'" not in [*others, last]:
            raise ValueError(f"expected {', '.join(others)}{' or ' if others else ''}{last}")
        return name

    def __get_pydantic_core_schema__(self, kind: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self.check, handler(kind))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(schema) | {"enum": list(self.table())}


_MAX_LINES = 20  # errors in one message


def read(section: str, model: type[S], path: Path = PATH) -> S:
    """Read `section` of the file at `path` as a `model`.

    Raises `InputError` with one line per error, at most twenty. Errors are: the file is missing, empty or invalid; the
    section is missing; a key is unknown (the message suggests the most similar one) or missing; a value has the wrong
    type or is out of range.
    """
    document = read_document(path)
    stages = [module.stem for module in Path(__file__).parents[2].glob("*.py")]
    unknown = [name for name in document if name not in stages]
    if unknown:
        raise _errors(path, [_unknown(name, stages) for name in unknown[:_MAX_LINES]], len(unknown))
    if section not in document:
        raise InputError(f"{path}: the section '{section}' is missing; add it with the keys {', '.join(_keys(model))}")
    return validate(path, [section], model, document[section])


def validate(path: Path, place: Sequence[str], model: type[S], value: object) -> S:
    """Validate `value`, found at `place` in the file at `path`, as a `model`; raises `InputError` as `read` does."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)[:_MAX_LINES]
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
            if block := _block_with(name, _inner(model, parents)):
                return f"{where}.{name} is now {where}.{block}.{name}"
            return f"{where}{': ' if where else ''}{_unknown(name, _keys(_inner(model, parents)))}"
        case "missing":
            return f"{key}: missing; add it"
        case "model_type":
            keys = ", ".join(_keys(_inner(model, detail["loc"])))
            return f"{key}: expected the keys {keys}, got {brief(detail['input'])}"
        case _:
            message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
            return f"{key}: {message}, got {brief(detail['input'])}"


def _block_with(name: object, model: type[BaseModel]) -> str | None:
    """Find the key of `model` whose value is a block that contains the key `name`; the first one, or None."""
    blocks = {key: inner for key, field in model.model_fields.items() for inner in _models(field.annotation)}
    return next((key for key, inner in blocks.items() if name in _keys(inner)), None)


def _inner(model: type[BaseModel], path: Iterable[int | str]) -> type[BaseModel]:
    """Return the nested model at `path` inside `model`."""
    for name in path:
        fields = [field for key, field in model.model_fields.items() if name in (key, field.alias)]
        model = next((inner for field in fields for inner in _models(field.annotation)), model)
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that occur in a type annotation such as dict[str, File] | None."""
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
    """List the keys of a section with their values, one per line."""
    schemas = dict(_leaves(model))
    width = max(map(len, schemas))
    return "\n".join(f"  {name:{width}}  {words}" for name, words in schemas.items())


def _leaves(model: type[BaseModel], parent: str = "") -> Iterator[tuple[str, str]]:
    """Yield the keys of a model and of its nested blocks, each with a description of its values."""
    for name, schema in model.model_json_schema()["properties"].items():
        if "$ref" in schema:
            yield from _leaves(next(_models(model.model_fields[name].annotation)), f"{parent}{name}.")
        else:
            yield f"{parent}{name}", _words(schema)


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
