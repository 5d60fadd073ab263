"""A YAML file that people write, read as DVC reads it, without what could run, expand without end, or be overlooked."""

import datetime
import reprlib
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node

from stages.shared.process.errors import InputError, named, one_line


class _Brief(reprlib.Repr):
    """A value in a message: one short line, however deep an alias made it."""

    def repr_int(self, value: int, level: int) -> str:
        return super().repr_int(value, level) if abs(value) < 10**40 else "a number of over 40 digits"

    def repr1(self, value: object, level: int) -> str:
        return f"the date {value}" if isinstance(value, datetime.date) else super().repr1(value, level)


_brief = _Brief()
_brief.maxlevel = 2
brief = _brief.repr

_PREFIX = "tag:yaml.org,2002:"


class _Constructor(SafeConstructor):
    """DVC's own, but that a key is text that stands once, and that nothing is merged or of a kind of its own.

    A chain of merge keys expands without end; of a key that stands twice, one would be overlooked.
    """

    def construct_non_recursive_object(self, node: Node, tag: str | None = None) -> Any:
        kind = str(node.tag)
        if kind not in self.yaml_constructors:
            _refuse(f"the tag {brief(kind.removeprefix(_PREFIX))} is not taken; write plain values", node)
        try:
            return super().construct_non_recursive_object(node, tag)
        except (ValueError, LookupError) as error:  # `!!float ''`, the 31st of February
            _refuse(str(error), node)

    def flatten_mapping(self, node: MappingNode) -> None:
        for key, _ in node.value:
            if key.tag == f"{_PREFIX}merge":
                _refuse("merge keys (<<) are not taken; write the keys themselves", key)
            if not isinstance(key.value, str):
                _refuse("expected a key that is a word", key)

    def check_mapping_key(self, node: Node, key_node: Node, mapping: Any, key: Any, value: Any) -> bool:
        if key in mapping:
            _refuse(f"the key {brief(key)} stands twice", key_node)
        return True


_Constructor.yaml_constructors = {
    _PREFIX + kind: SafeConstructor.yaml_constructors[_PREFIX + kind]
    for kind in ("null", "bool", "int", "float", "str", "timestamp", "seq", "map")
}


def _refuse(problem: str, node: Node) -> NoReturn:
    raise ConstructorError(None, None, problem, node.start_mark)


def read_document(path: Path) -> dict[Any, Any]:
    """The mapping in the YAML file at `path`; raises `InputError`.

    Numbers, words and dates are what DVC takes them for. Not taken, though DVC takes them: merge keys, a key that is
    a list or mapping, tags such as !!set or !!binary.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    try:
        with named(path):
            text = path.read_text(encoding="utf-8")
        document = yaml.load(text)
    except FileNotFoundError:
        raise InputError(f"{path}: not found; run this from the project's root") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(f"{path}: not valid YAML{where}: {one_line(str(error.problem))}") from None
    except (YAMLError, ValueError) as error:
        raise InputError(f"{path}: not valid YAML: {one_line(str(error))}") from None
    except RecursionError:
        raise InputError(f"{path}: not usable YAML: nested too deeply") from None
    if document is None:
        raise InputError(f"{path}: empty; expected keys with values")
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected keys with values, got {brief(document)}")
    return document
