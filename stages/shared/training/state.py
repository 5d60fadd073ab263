"""The state of a training, kept outside the outputs after every epoch, so that the next run goes on from it.

DVC deletes a stage's outputs before it runs, so it lies in DVC's own temporary folder, .dvc/tmp/train/<key>.<number>:
`state`, and the checkpoints of the epochs so far. Nothing there is ever executed, and all of it may be
removed at any time.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors.torch import load, save
from torch import Tensor

_KEPT = 4  # states of other trainings, the newest
_STATE = "state"
_METADATA = "training"
_DIGEST = 32  # bytes of a SHA-256, after the safetensors


@dataclass(frozen=True)
class State:
    """Where a training is.

    tensors: what `Trainer.state` gave; losses: of each whole epoch, in its training and after; checkpoints: the SHA-256
    of each epoch's file; finished: the MD5, by which DVC knows it, of the model in the outputs once these stood.
    """

    tensors: Mapping[str, Tensor]
    losses: list[list[float]] = field(default_factory=list)
    checkpoints: list[str] = field(default_factory=list)
    finished: str = ""

    @property
    def epochs(self) -> int:
        """How many epochs are whole."""
        return len(self.losses)


def key_of(recipe: Mapping[str, Any], files: list[Path]) -> str:
    """What names a training: its recipe, the content of the files, the project's sources and PyTorch's build.

    The recipe is plain data. Of the sources those count that are imported now and can change a byte.
    """
    sources = {
        name: _sha256(Path(module.__file__))
        for name, module in sorted(sys.modules.items())
        if name.startswith("stages.") and not name.startswith("stages.shared.process") and module.__file__
    }
    build = [torch.__version__, torch.backends.cpu.get_cpu_capability(), sys.byteorder]
    facts = [dict(recipe), [_sha256(file) for file in files], sources, build]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder() -> Path | None:
    """Where states are kept: in the DVC repository, and for `dvc exp run --temp` in the one that it was called in.

    None where there is no such repository.
    """
    root = Path(os.environ.get("DVC_ROOT", ".")) / ".dvc"
    return root / "tmp" / "train" if root.is_dir() else None


def is_noted(md5: str) -> bool:
    """Whether DVC has taken note of the model of that MD5; a training outside of DVC needs no note.

    DVC does so after the stage has ended, and may be killed in between.
    """
    lock = Path("dvc.lock")
    return "DVC_STAGE" not in os.environ or (lock.exists() and md5.encode() in lock.read_bytes())


class Keeper:
    """Keeps one training's state in a folder that is its own."""

    def __init__(self, own: Path | None) -> None:
        self.own = own
        self.path = own and own / _STATE

    def read(self) -> State | None:
        """The state that a run before this one left; None where there is none, or it is damaged."""
        if self.path is None:
            return None
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        content, digest = content[:-_DIGEST], content[-_DIGEST:]
        if hashlib.sha256(content).digest() != digest:
            return None
        length = int.from_bytes(content[:8], "little")  # of a safetensors file's header
        facts = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_METADATA])
        state = State(load(content), **facts)
        files = [self.checkpoint(epoch) for epoch in range(1, state.epochs + 1)]
        whole = all(file.is_file() and _sha256(file) == was for file, was in zip(files, state.checkpoints, strict=True))
        return state if whole else None

    def checkpoint(self, epoch: int) -> Path:
        """Where the checkpoint of an epoch is kept."""
        assert self.own
        return self.own / f"{epoch}.safetensors"

    def keep_checkpoint(self, epoch: int, file: Path) -> str:
        """Keep an epoch's checkpoint, without its space twice where the file system allows; give its SHA-256."""
        if self.own is not None:
            kept = self.checkpoint(epoch)
            kept.unlink(missing_ok=True)
            try:
                kept.hardlink_to(file)
            except OSError:
                shutil.copyfile(file, kept)
        return _sha256(file)

    def write(self, state: State) -> None:
        """Put `state` in the place of the one before, whole or not at all."""
        if self.path is None:
            return
        facts = {"losses": state.losses, "checkpoints": state.checkpoints, "finished": state.finished}
        new = self.path.with_name("new")
        content = save(dict(state.tensors), {_METADATA: json.dumps(facts)})
        new.write_bytes(content + hashlib.sha256(content).digest())
        new.replace(self.path)


@contextmanager
def keeper(key: str, root: Path | None) -> Iterator[Keeper]:
    """A keeper below `root` for the training of that key, which no other run has at the same time.

    Of other trainings, the states of the last few stay. Without a root nothing is kept.
    """
    if root is None:
        yield Keeper(None)
        return
    root.mkdir(parents=True, exist_ok=True)
    number = 0
    while True:  # the first that no run has: two with one key each keep a state
        own = root / f"{key}.{number}"
        try:
            with FileLock(f"{own}.lock", timeout=0):
                _tidy(root, own)
                own.mkdir(exist_ok=True)
                yield Keeper(own)
                return
        except Timeout:
            number += 1


def _tidy(root: Path, own: Path) -> None:
    """Remove all states but `own`, the newest few, and those in use."""
    others = sorted(
        (path for path in root.iterdir() if path.is_dir() and path != own),
        key=lambda path: _age(path / _STATE),
        reverse=True,
    )
    for path in others[_KEPT:]:
        lock = FileLock(f"{path}.lock", timeout=0)
        with suppress(Timeout, OSError), lock:
            shutil.rmtree(path)
            Path(lock.lock_file).unlink()


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0
