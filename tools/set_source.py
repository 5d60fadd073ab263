"""Set `download.source` in params.yaml (`make repro SOURCE=…`), and check the params that DVC uses in paths.

No other line is changed, and a change is printed. Without an argument, it only checks: DVC uses three params in paths,
and if such a file is missing, DVC's error doesn't name the param.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

PARAMS = Path("params.yaml")


def written(source: str) -> str:
    """Format a path for params.yaml: relative if it is inside the project, and quoted if YAML needs it."""
    path = Path(os.path.expanduser(source)).absolute()  # noqa: PTH111 (a folder ./~ stays one)
    text = str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) and travels(path) else path)
    return text if re.fullmatch(r"/?[a-z]\w*/[\w./-]+", text, re.ASCII) else json.dumps(text, ensure_ascii=False)


def travels(path: Path) -> bool:
    """Whether git or DVC tracks the path, so that copies of the project (`dvc exp run --temp`) contain it."""
    if path.with_name(f"{path.name}.dvc").exists():
        return True
    listed = subprocess.run(["git", "ls-files", "--", path], capture_output=True, text=True, check=False)
    return listed.returncode != 0 or bool(listed.stdout)


def wrong(params: dict[str, dict[str, object]]) -> str | None:
    """Return a one-line error if a param that DVC uses in paths is invalid; otherwise None."""
    source = str(params["download"]["source"])
    if not Path(source).exists():
        if source.startswith("~"):
            full = os.path.expanduser(source)  # noqa: PTH111
            return f"download.source: DVC does not expand ~; write {full}, or type `make repro SOURCE={source}`"
        return (
            f"download.source: {source} does not exist. Type `make repro SOURCE=…` with a folder of pictures or a file "
            "such as data/digits.yaml; if only others have these pictures, see docs/teams.md"
        )
    for section in ("render", "extract"):
        split = params[section]["split"]
        if split not in ("train", "test"):
            return f"{section}.split: expected train or test, got {split!r:.60}"
    return None


def main() -> None:
    """Set the source named on the command line, and check the params."""
    text = PARAMS.read_text(encoding="utf-8")
    if len(sys.argv) > 1 and sys.argv[1]:
        if not Path(os.path.expanduser(sys.argv[1])).exists():  # noqa: PTH111
            expected = "a folder of pictures, or a file such as data/digits.yaml"
            sys.exit(f"SOURCE: expected {expected}, got {sys.argv[1]}: not found")
        value = written(sys.argv[1])
        before = re.findall(r"(?m)^  source: *(.*)$", text)
        if len(before) != 1:
            sys.exit(f"{PARAMS}: expected one line `  source: …`, got {len(before)}; edit download.source yourself")
        if before[0] != value:
            text = re.sub(r"(?m)^(  source:).*$", lambda match: f"{match[1]} {value}", text)
            PARAMS.write_text(text, encoding="utf-8")
            print(f"{PARAMS}: download.source is now {value} (before: {before[0] or 'empty'})", flush=True)
    try:
        found = wrong(yaml.safe_load(text))
    except (yaml.YAMLError, KeyError, TypeError):
        return  # the stage that reads it has a better message
    if found:
        sys.exit(f"{PARAMS}: {found}")


if __name__ == "__main__":
    main()
