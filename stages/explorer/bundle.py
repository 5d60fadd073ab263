"""Plotly.js with only what the page draws: half of its bytes, and much sooner ready.

The file that the `plotly` package brings is made by esbuild: one block of functions and of modules, each wrapped in a
function, `var a=wrap(...)`, that runs when another first asks for it by `a()`. The last one registers every kind of
trace. Here it registers scatter3d alone (scatter comes with the core), and what nothing asks for any more is cut out.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import NamedTuple

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

from stages.shared.process.errors import InputError

TRACE = b'name:"scatter3d"'

_MEMORY = 640 * 2**20  # more than the parser and its tree take, as measured
_NAME = rb"[\w$]+"
_USED = re.compile(rb"(?<![.\w$])" + _NAME)  # words in strings and keys too: that keeps too much, never too little
_WRAP = re.compile(rb"var (" + _NAME + rb")=\(\w,\w(?:,\w)?\)=>\(\)=>\{")
_MODULE = re.compile(rb"var (" + _NAME + rb")=" + _NAME + rb"\(\(")
_REGISTERED = re.compile(rb"(?<=\.register\(\[)(?:" + _NAME + rb"\(\),?)+(?=\]\))")
_EXPORT = re.compile(_NAME + rb"\((" + _NAME + rb"),\{")  # gives a module its exports


class _Part(NamedTuple):
    """A declaration that does nothing until it is asked for by its name."""

    start: int
    end: int  # past its last byte
    name: bytes
    cut: int  # from here on it can go; `var a` must stay where others follow: `var a=wrap(...),b`


@cache
def plotly() -> str:
    """The source of Plotly.js, cut down. Raises `InputError` where the installed one is built in another way."""
    source = (resources.files("plotly") / "package_data" / "plotly.min.js").read_bytes()
    registered = _REGISTERED.search(source)
    trace = _module_at(source, source.find(TRACE))
    listed = _module_at(source, source.find(b".exports=%b()" % trace))  # which passes on what `trace` exports
    if registered is None or listed + b"()" not in registered[0].split(b","):
        raise InputError(
            "plotly: expected a plotly.min.js from esbuild with a list of the traces that it registers, got another; "
            "install the version that requirements.txt names"
        )
    return cut(source[: registered.start()] + listed + b"()" + source[registered.end() :]).decode()


def _module_at(source: bytes, place: int) -> bytes:
    """The name of the module around a place; of none, an empty one."""
    names: list[bytes] = _MODULE.findall(source, 0, max(place, 0))
    return names[-1] if names else b""


def cut(source: bytes) -> bytes:
    """A bundle of esbuild's without the functions and modules that its other statements never come to.

    Raises `MemoryError` where there isn't enough.
    """
    bytearray(_MEMORY)  # a MemoryError, if need be: the parser would crash instead
    statements = _block(Parser(Language(tree_sitter_javascript.language())).parse(source).root_node).named_children
    wraps = set(_WRAP.findall(source))
    parts = sorted(part for statement in statements for part in _parts(statement, wraps))
    needed = _needed(source, parts)
    kept, place = [], 0
    for part in parts:
        if part.name not in needed:
            kept.append(source[place : part.cut])
            place = part.end
    return b"".join([*kept, source[place:]])


def _block(node: Node) -> Node:
    """The function body that holds the bundle's declarations: of those around its middle, the one with the most."""
    bodies = []
    while node.named_children:
        node = max(node.named_children, key=lambda child: child.end_byte - child.start_byte)
        bodies += [node] if node.type == "statement_block" else []
    return max(bodies, key=lambda body: body.named_child_count)


def _parts(statement: Node, wraps: set[bytes]) -> Iterator[_Part]:
    if statement.type == "function_declaration":
        yield _Part(statement.start_byte, statement.end_byte, _text(statement, "name"), statement.start_byte)
    elif statement.type == "variable_declaration":
        for variable in statement.named_children:
            name, value = variable.child_by_field_name("name"), variable.child_by_field_name("value")
            if name and value and value.type == "call_expression" and _text(value, "function") in wraps:
                yield _Part(variable.start_byte, variable.end_byte, name.text or b"", name.end_byte)
    elif exports := _EXPORT.match(statement.text or b""):
        yield _Part(statement.start_byte, statement.end_byte, exports[1], statement.start_byte)


def _text(node: Node, field: str) -> bytes:
    child = node.child_by_field_name(field)
    return (child and child.text) or b""


def _needed(source: bytes, parts: list[_Part]) -> set[bytes]:
    """The names of the parts that what isn't a part uses, and the parts that these use, and so on."""
    uses: dict[bytes, set[bytes]] = {part.name: set() for part in parts}
    coming: set[bytes] = set()
    place = 0
    for part in parts:
        coming.update(_USED.findall(source, place, part.start))
        uses[part.name].update(_USED.findall(source, part.cut, part.end))
        place = part.end
    coming.update(_USED.findall(source, place))
    needed: set[bytes] = set()
    while coming := {name for name in coming if name in uses} - needed:
        needed |= coming
        coming = set().union(*(uses[name] for name in coming))
    return needed
