"""The page's modules become one script, in the order of their imports."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from stages.explorer.script import declarations, pack_script
from tests.project import ROOT

SOURCES = ROOT / "stages/explorer"
NODE = shutil.which("node")


def pack(folder: Path, **modules: str) -> str:
    for name, text in modules.items():
        (folder / f"{name}.js").write_text(text)
    return pack_script(folder / "main.js")


def run(script: str) -> str:
    if not NODE:
        pytest.skip("no node found: install nodejs")
    command = [NODE, "--input-type=module", "--eval", script]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_what_is_used_at_load_stands_before_its_use(tmp_path: Path) -> None:
    script = pack(
        tmp_path,
        main='import { double } from "./b.js";\nimport { add, start } from "./a.js";\n'
        "add(5);\nconsole.log(double(start));\n",
        b='// A comment\nimport { start } from "./a.js";\n\n'
        "const factor = start - 1;\nexport const double = (x) => factor * x;\n",
        a="const [one, two] = [1, 2];\nexport let start = one + two;\nexport function add(x) {\n  start += x;\n}\n",
    )
    assert run(script) == "16", "an imported name follows what its module assigns to it"
    assert "import" not in script
    assert "export" not in script
    assert "comment" not in script


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        (
            {
                "main": 'import { a } from "./a.js";\nconst b = a;\n',
                "a": "export const a = 1;\nconst [b, c] = [1, 2];\n",
            },
            "main.js: b is also declared in a.js",
        ),
        (
            {
                "main": 'import { a } from "./a.js";\n',
                "a": 'import { b } from "./b.js";\nexport const a = 1;\n',
                "b": 'import { a } from "./a.js";\nexport const b = 1;\n',
            },
            "circular import: a.js -> b.js -> a.js",
        ),
        (
            {"main": 'import { a, hidden } from "./a.js";\n', "a": "export const a = 1;\nconst hidden = 2;\n"},
            "imports what a.js doesn't export: hidden",
        ),
        ({"main": 'import * as a from "./a.js";\n', "a": "export const a = 1;\n"}, "got 'import * as a"),
        ({"main": 'import { a } from "./a.js";\n', "a": "export default 1;\n"}, "got 'export default 1;'"),
    ],
    ids=["two of a name", "a circle", "not exported", "another import", "another export"],
)
def test_what_would_break_as_one_script_is_refused(tmp_path: Path, modules: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        pack(tmp_path, **modules)


def test_every_source_is_in_the_script() -> None:
    declared = declarations(pack_script(SOURCES / "main.js"))
    for path in SOURCES.glob("*.js"):
        assert declarations(path.read_text()) <= declared, path
