"""Write another `download.source` into params.yaml, as `make repro SOURCE=…` does; nothing else in the file changes."""

import json
import os
import re
import sys
from pathlib import Path

PARAMS = Path("params.yaml")


def written(source: str) -> str:
    """The path as params.yaml has it: relative inside the project, quoted where YAML would read it otherwise."""
    path = Path(os.path.expanduser(source)).absolute()  # noqa: PTH111 (a folder ./~ stays one)
    text = str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
    return text if re.fullmatch(r"/?[a-z]\w*/[\w./-]+", text, re.ASCII) else json.dumps(text, ensure_ascii=False)


def main() -> None:
    """Take the path from the command line."""
    if not Path(os.path.expanduser(sys.argv[1])).exists():  # noqa: PTH111
        sys.exit(
            f"SOURCE: expected a folder of pictures, or a file such as data/digits.yaml, got {sys.argv[1]}: not found"
        )
    text = PARAMS.read_text(encoding="utf-8")
    value = written(sys.argv[1])
    changed, count = re.subn(r"(?m)^(  source:).*$", lambda match: f"{match[1]} {value}", text)
    if count != 1:
        sys.exit(f"{PARAMS}: expected one line `  source: …`, got {count}; edit download.source by hand")
    PARAMS.write_text(changed, encoding="utf-8")


if __name__ == "__main__":
    main()
