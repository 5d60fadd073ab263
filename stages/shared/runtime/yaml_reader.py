"""Read YAML as DVC does, without tags, merge keys or duplicate keys."""

import datetime
import reprlib
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node

from stages.shared.runtime.errors import InputError, one_line, with_path


class _Brief(reprlib.Repr):
    """Short one-line representation of a value, also if it contains deeply nested aliases."""

    def repr_int(self, value: int, level: int) -> str:
        return super().repr_int(value, level) if abs(value) < 10**40 else "a number of over 40 digits"

    def repr1(self, value: object, level: int) -> str:
        return f"the date {value}" if isinstance(value, datetime.date) else super().repr1(value, level)


_brief = _Brief()
_brief.maxlevel = 2
brief = _brief.repr

_PREFIX = "tag:yaml.org,2002:"


class _Constructor(SafeConstructor):
    """DVC's YAML constructor, except that it refuses merge keys, keys that are lists or mappings, and tags."""

    def construct_undefined(self, node: Node) -> NoReturn:
        problem = f"the tag {brief(str(node.tag).removeprefix(_PREFIX))} is not accepted; write plain values"
        raise ConstructorError(None, None, problem, node.start_mark)

    def flatten_mapping(self, node: MappingNode) -> None:
        for key, _ in node.value:
            if key.tag == f"{_PREFIX}merge":
                problem = "merge keys (<<) are not accepted; write out the keys"
                raise ConstructorError(None, None, problem, key.start_mark)
            if not isinstance(key.value, str):
                raise ConstructorError(None, None, "expected text as the key, got a list or a mapping", key.start_mark)


_Constructor.yaml_constructors = {
    _PREFIX + kind: SafeConstructor.yaml_constructors[_PREFIX + kind]
    for kind in ("null", "bool", "int", "float", "str", "timestamp", "seq", "map")
} | {None: _Constructor.construct_undefined}


def read_document(path: Path) -> dict[Any, Any]:
    """Read the YAML file at `path` as a mapping; raises `InputError`.

    Values have the same types as in DVC. Unlike in DVC, merge keys, keys that are lists or mappings, and tags such as
    !!set or !!binary are errors.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    try:
        with with_path(path):
            text = path.read_text(encoding="utf-8")
        document = yaml.load(text)
    except FileNotFoundError:
        raise InputError(f"{path}: not found; run this from the project's root") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(f"{path}: not valid YAML{where}: {one_line(str(error.problem))}") from None
    except (YAMLError, ValueError, LookupError) as error:  # `!!float ''`, an invalid date
        raise InputError(f"{path}: not valid YAML: {one_line(str(error))}") from None
    except RecursionError:
        raise InputError(f"{path}: YAML nested too deeply") from None
    if document is None:
        raise InputError(f"{path}: empty; expected keys with values")
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected keys with values, got {brief(document)}")
    return document
