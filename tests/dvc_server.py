"""Runs `dvc` commands, each in a fork of this process, which has imported DVC: that is half of a command's time.

A line of JSON on stdin is a command, its folder, environment and files for its output; the answer is its exit status.
"""

import atexit
import gc
import importlib
import json
import os
import pickle
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

# The slow ones of those that DVC imports when a command needs them; not NumPy, which starts threads.
MODULES = [
    "celery.app.amqp",
    "dulwich.porcelain",
    "dvc.cachemgr",
    "dvc.cli.parser",
    "dvc.data_cloud",
    "dvc.repo.experiments.queue.celery",
    "dvc.repo.index",
    "dvc.repo.plots.diff",
    "dvc.repo.reproduce",
    "dvc.utils.hydra",
    "dvc.utils.strictyaml",
    "hydra",
    "networkx",
    "pygit2",
    "pyparsing",
    "rich.console",
    "ruamel.yaml",
    "tabulate",
]
FILES = ["dvc.yaml", "dvc.lock", "params.yaml", "uses/dvc.yaml"]


def parse_once() -> None:
    """Parse each text of YAML once: DVC parses dvc.lock up to 13 times in a command, half of its own time."""
    from ruamel.yaml import YAML

    load, parsed = YAML.load, dict[str, bytes]()

    def remember(self: YAML, text: Any) -> Any:
        if self.typ != ["safe"] or not isinstance(text, str):
            return load(self, text)
        if text not in parsed:
            parsed[text] = pickle.dumps(load(self, text))
        return pickle.loads(parsed[text])

    patch.object(YAML, "load", remember).start()


def become(command: list[str], cwd: str, env: dict[str, str], out: str, err: str) -> int:
    """Run `dvc` with these arguments in this process, as if it had been started so; returns its exit status."""
    for descriptor, path in enumerate((os.devnull, out, err)):
        opened = os.open(path, os.O_RDWR)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["dvc", *command]
    from dvc.cli import main

    return int(main(command))


def serve() -> None:
    for module in MODULES:
        importlib.import_module(module)
    parse_once()
    from ruamel.yaml import YAML

    gc.freeze()
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        for name in FILES:  # in this process, so that later commands need not parse the same text
            with suppress(Exception):
                YAML(typ="safe").load(Path(request["cwd"], name).read_text())
        if (child := os.fork()) == 0:
            status = become(**request)
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)  # a plain exit would take apart all that was imported
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
