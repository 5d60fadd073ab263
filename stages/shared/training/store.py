"""Checkpoint store: saves the state of a training, so that the next run can resume it.

DVC deletes the outputs of a stage before it runs the stage. Stores are therefore in DVC's temporary folder:
.dvc/tmp/train/<key>.<number> has the file `state` and the checkpoints. Nothing in a store is executed, and it may be
deleted at any time.
"""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from stages.shared.model.autoencoder import COMPONENTS_FILE
from stages.shared.runtime.errors import with_path
from stages.shared.runtime.lock import BusyError, locked

_MAX_OTHERS = 4  # stores of other trainings to keep
_STATE = "state"
_METADATA = "training"
_DIGEST = 32  # bytes of a SHA-256, after the safetensors
_SAVE_EVERY = 300.0  # seconds, within an epoch


def resume_key(recipe: Mapping[str, Any], files: list[Path]) -> str:
    """Resume key: a hash of everything that affects the output.

    This is the recipe (plain data), the content of `files`, the imported source files, and PyTorch's build.
    """
    sources = {
        name: _digest(Path(module.__file__))
        for name, module in sorted(sys.modules.items())
        if name.startswith("stages.") and not name.startswith("stages.shared.runtime") and module.__file__
    }
    build = [torch.__version__, torch.backends.cpu.get_cpu_capability(), sys.byteorder]
    facts = [dict(recipe), [_digest(file) for file in files], sources, build]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _digest(path: Path, kind: str = "sha256") -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def root_folder() -> Path | None:
    """Folder of all stores, in the DVC repository; None without DVC.

    With `dvc exp run --temp` it is in the original repository, not in the temporary copy.
    """
    root = Path(os.environ.get("DVC_ROOT", ".")) / ".dvc"
    return root / "tmp" / "train" if root.is_dir() else None


def _is_in_lock(md5: str) -> bool:
    """Whether dvc.lock lists the model file with that MD5; always true without DVC.

    DVC writes dvc.lock after the stage has ended, so the model is not listed if DVC was killed before.
    """
    lock = Path("dvc.lock")
    return "DVC_STAGE" not in os.environ or (lock.exists() and md5.encode() in lock.read_bytes())


class CheckpointStore:
    """State and checkpoints of one training, in a folder. If there is no folder, nothing is stored."""

    def __init__(self, own: Path | None, save_every: float = _SAVE_EVERY) -> None:
        self.own, self.save_every = own, save_every
        self.hashes: dict[int, str] = {}  # by epoch, SHA-256 of its checkpoint
        self.components = ""  # SHA-256 of the shared components, if any
        self.saved_at = time.monotonic()

    def load(self, epochs: int, kept: Collection[int]) -> dict[str, Tensor] | None:
        """Load the state to resume a training of `epochs` epochs from; remove checkpoints of epochs not in `kept`.

        Returns None if there is no state, if it is corrupt, or if it has more epochs. Also returns None if the training
        is finished: a finished training is trained again when asked for.
        """
        stored = self._read()
        if stored is None:
            return None
        state, facts = stored
        done = int(state["counts"][0])
        if done > epochs:
            print(
                f"train: starts from the beginning, because the stored training has {done} epochs, more than this one"
            )
            return None
        if done == epochs and facts["finished"] and _is_in_lock(facts["finished"]):
            return None
        self.hashes, self.components = dict(facts["checkpoints"]), facts["components"]
        for epoch in self.hashes.keys() - kept:
            self.checkpoint(epoch).unlink()
            del self.hashes[epoch]
        return state

    def _read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Read the state and its metadata; None if they are missing, or if they or a checkpoint are corrupt."""
        if self.own is None or not (self.own / _STATE).is_file():
            return None
        content = (self.own / _STATE).read_bytes()
        content, digest = content[:-_DIGEST], content[-_DIGEST:]
        if hashlib.sha256(content).digest() != digest:
            return None
        length = int.from_bytes(content[:8], "little")  # of a safetensors file's header
        facts = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_METADATA])
        files = [(self.checkpoint(epoch), sha) for epoch, sha in facts["checkpoints"]]
        if facts["components"]:
            files.append((self.own / COMPONENTS_FILE, facts["components"]))
        whole = all(file.is_file() and _digest(file) == sha for file, sha in files)
        return (load(content), facts) if whole else None

    def checkpoint(self, epoch: int) -> Path:
        """Path of an epoch's checkpoint in the store."""
        assert self.own
        return self.own / f"{epoch}.safetensors"

    def add(self, epoch: int, checkpoint: Path) -> None:
        """Store an epoch's checkpoint; with the first one, also store the components that all checkpoints share."""
        self.hashes[epoch] = _digest(checkpoint)
        if self.own is not None:
            _link(checkpoint, self.checkpoint(epoch))
            if (components := checkpoint.with_name(COMPONENTS_FILE)).exists() and not self.components:
                self.components = _digest(components)
                _link(components, self.own / COMPONENTS_FILE)

    def is_due(self) -> bool:
        """Whether the last save was more than `save_every` seconds ago."""
        return time.monotonic() - self.saved_at > self.save_every

    def save(self, state: Mapping[str, Tensor], model: Path | None = None) -> None:
        """Replace the stored state atomically.

        model: the model file, if the training is finished and the file is published.
        """
        self.saved_at = time.monotonic()
        if self.own is None:
            return
        finished = _digest(model, "md5") if model else ""  # as in dvc.lock
        facts = {"checkpoints": [*self.hashes.items()], "components": self.components, "finished": finished}
        content = save(dict(state), {_METADATA: json.dumps(facts)})
        new = self.own / "new"
        with with_path(new):
            new.write_bytes(content + hashlib.sha256(content).digest())
        new.replace(self.own / _STATE)


def _link(file: Path, kept: Path) -> None:
    """Store a file as a hard link; if the file system has no hard links, as a copy."""
    kept.unlink(missing_ok=True)
    try:
        kept.hardlink_to(file)
    except OSError:
        with with_path(kept):
            shutil.copyfile(file, kept)


@contextmanager
def open_store(key: str, root: Path | None) -> Iterator[CheckpointStore]:
    """Open a store in the folder `root` for the training with this resume key; it is locked during this run.

    Of the stores of other trainings, the newest few are kept, but only one of a finished training. If `root` is None,
    nothing is stored.
    """
    if root is None:
        yield CheckpointStore(None)
        return
    root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for number in count():  # the first unlocked store: two runs with one key use two stores
            own = root / f"{key}.{number}"
            with suppress(BusyError):
                stack.enter_context(locked(Path(f"{own}.lock")))
                break
        _tidy(root, own)
        own.mkdir(exist_ok=True)
        yield CheckpointStore(own)
        _tidy(root, own)


def _tidy(root: Path, own: Path) -> None:
    """Remove old stores; keep the store `own`, the newest few, and the newest one of a finished training."""
    others = sorted((path for path in root.iterdir() if path.is_dir() and path != own), key=_age, reverse=True)
    finished = [path for path in [own, *others] if _facts(path).get("finished")]
    for path in {*finished[1:], *others[_MAX_OTHERS:]} - {own}:
        with suppress(BusyError, OSError), locked(Path(f"{path}.lock")):
            shutil.rmtree(path)


def _facts(own: Path) -> dict[str, Any]:
    """Read the metadata of a store's state, without the tensors; empty if the state is missing or corrupt."""
    with suppress(OSError, ValueError, LookupError), (own / _STATE).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")  # of a safetensors file's header
        if length < own.joinpath(_STATE).stat().st_size:
            facts: dict[str, Any] = json.loads(json.loads(file.read(length))["__metadata__"][_METADATA])
            return facts
    return {}


def _age(own: Path) -> float:
    try:
        return (own / _STATE).stat().st_mtime
    except FileNotFoundError:
        return 0
