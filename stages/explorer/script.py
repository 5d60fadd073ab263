"""Bundle the page's ES modules into one script, so that the page needs no server."""

import re
from pathlib import Path

from stages.shared.formats import read_bytes

IMPORT = re.compile(r'^import \{ ([\w, \n]*?),?\s*\} from "\./(\w+\.js)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let)\b)", re.MULTILINE)
DECLARATION = re.compile(
    r"^(export )?(?:(?:async )?function|class|const|let) (?:(\w+)|[\[{] ?([\w, ]+?) ?[\]}] =)", re.MULTILINE
)
COMMENT = re.compile(r"^ *//.*\n", re.MULTILINE)


def pack_script(entry: Path) -> str:
    """Join the module at `entry` and the modules it imports into one script, dependencies first.

    All modules then share one scope. Raises `ValueError` for two top-level declarations of the same name, for circular
    imports, for an import of a missing export, and for unsupported forms of import or export.
    """
    modules: dict[str, str] = {}
    add(entry, modules, [])
    owners: dict[str, str] = {}
    for name, text in modules.items():
        for declared in declarations(text):
            other = owners.setdefault(declared, name)
            if other != name:
                raise ValueError(f"{entry.parent / name}: {declared} is also declared in {other}; rename one")
    return "\n".join(COMMENT.sub("", EXPORT.sub("", IMPORT.sub("", text))).strip("\n") for text in modules.values())


def add(path: Path, modules: dict[str, str], importers: list[str]) -> None:
    """Add the module at `path` to `modules` (text by module name), after the modules it imports."""
    if path.name in importers:
        circle = " -> ".join([*importers[importers.index(path.name) :], path.name])
        raise ValueError(f"{path}: circular import: {circle}")
    if path.name in modules:
        return
    text = read_bytes(path).decode("utf-8")
    left = re.search(r"^(?:import|export)\b.*", EXPORT.sub("", IMPORT.sub("", text)), re.MULTILINE)
    if left:
        raise ValueError(
            f'{path}: expected `import {{ name }} from "./file.js";` or an exported declaration, got {left[0]!r}'
        )
    for names, other in IMPORT.findall(text):
        add(path.with_name(other), modules, [*importers, path.name])
        missing = set(re.findall(r"\w+", names)) - declarations(modules[other], exported=True)
        if missing:
            raise ValueError(f"{path}: imports what {other} doesn't export: {', '.join(sorted(missing))}")
    modules[path.name] = text


def declarations(text: str, exported: bool = False) -> set[str]:
    """Names that a module declares at top level; with `exported`, only the exported ones."""
    found = (item for item in DECLARATION.finditer(text) if item[1] or not exported)
    return {name for item in found for name in re.findall(r"\w+", item[2] or item[3])}
