"""A training from its first epoch, or from a state that was kept, to its last."""

import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from stages.shared.arrays import Uint8
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.process.errors import BeginAnewError, InputError
from stages.shared.process.waiting import Choice
from stages.shared.training.record import Record
from stages.shared.training.state import Keeper, State, is_noted
from stages.shared.training.trainer import Trainer

KEEP_EVERY = 300.0  # seconds, within an epoch


class Fit:
    """One process's work. Of several that train together the first has a record and a keeper, and speaks.

    images: those that are not trained on, uint8 [N, height, width, channels], whose loss is taken after each epoch;
    split: which these are, `test` or `validation`; training: the params, for the model file; its `epochs` are how many
    there are to be; choice: how its threads wait, where it may be begun anew to have them wait otherwise.
    """

    def __init__(
        self,
        trainer: Trainer,
        images: Uint8,
        split: str,
        training: dict[str, Any],
        record: Record | None,
        keeper: Keeper,
        choice: Choice | None = None,
        keep_every: float = KEEP_EVERY,
    ) -> None:
        self.trainer, self.images, self.split, self.training = trainer, images, split, training
        self.record, self.keeper, self.choice, self.keep_every = record, keeper, choice, keep_every
        self.epochs: int = training["epochs"]
        self.losses: list[list[float]] = []
        self.hashes: list[str] = []  # of the checkpoints kept
        self.kept_at = time.monotonic()

    def go_on(self) -> None:
        """Go on from the state that an earlier run left, if this training can."""
        state = self.trainer.group.share(self._kept())
        if state is None:
            return
        if state.epochs > self.epochs:
            self._say(f"train: kept is a training of the same recipe after epoch {state.epochs}; this one starts anew")
            return
        self.trainer.restore(state.tensors)
        self.losses, self.hashes = list(state.losses), list(state.checkpoints)
        for epoch, losses in enumerate(self.losses, start=1):
            if self.record:  # written anew, since each says how many epochs there are to be
                kept = Autoencoder.read(self.keeper.checkpoint(epoch))
                self.record.add(replace(kept, training=self.training), *losses)
        step = f", step {self.trainer.steps + 1}" if self.trainer.steps else ""
        where = f"from epoch {state.epochs + 1}{step}" if state.epochs < self.epochs else "after the last epoch"
        self._say(f"train: goes on where an earlier run ended, {where}")

    def _kept(self) -> State | None:
        """The state that there is to go on from."""
        state = self.keeper.read()
        whole = state is not None and state.epochs == self.epochs and state.finished
        return None if whole and is_noted(whole) else state  # whoever runs a whole training once more wants it done

    def run(self) -> list[float]:
        """Train to the last epoch; return its losses, in training and on the images.

        Raises `InputError` where one is not finite, `BeginAnewError` where the threads should wait otherwise.
        """
        steps = self.trainer.steps_an_epoch
        with tqdm(
            total=self.epochs * steps,
            initial=len(self.losses) * steps + self.trainer.steps,
            unit=" steps",
            leave=False,
            disable=None if self.record else True,  # None: where there is no terminal
        ) as self.bar:
            for epoch in range(len(self.losses) + 1, self.epochs + 1):
                self.bar.set_description(f"epoch {epoch}/{self.epochs}")
                self._epoch(epoch)
        return self.losses[-1]

    def finish(self, model: Path) -> None:
        """Keep that the outputs are written, with the model at that path."""
        with model.open("rb") as file:
            self.keep(hashlib.file_digest(file, "md5").hexdigest())

    def keep(self, finished: str = "") -> None:
        """Keep the state as it is now."""
        self.keeper.write(State(self.trainer.state(), self.losses, self.hashes, finished))
        self.kept_at = time.monotonic()

    def _epoch(self, epoch: int) -> None:
        train_loss = self.trainer.epoch(self._watched)
        loss = self.trainer.test(self.images)
        if not math.isfinite(train_loss + loss):
            rate = self.training["learning_rate"]
            raise InputError(
                f"train: the loss is {train_loss} in epoch {epoch} at the rate {rate}: it diverged; "
                f"try a smaller train.learning_rate, say {rate / 10:g}"
            )
        self.losses.append([train_loss, loss])
        if self.record:
            checkpoint = self.record.add(self.trainer.autoencoder(self.training), train_loss, loss)
            self.hashes.append(self.keeper.keep_checkpoint(epoch, checkpoint))
            self.keep()
        self._say(f"epoch {epoch}/{self.epochs}: train loss {train_loss:.5f}, {self.split} loss {loss:.5f}")
        if epoch < self.epochs:
            self._look()

    def _watched(self, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        for batch in batches:
            yield batch
            self.bar.update()
            if self.record and time.monotonic() - self.kept_at > self.keep_every:
                self.keep()
                self._look()

    def _look(self) -> None:
        """Begin anew, from what has just been kept, where the threads should wait otherwise by now."""
        if self.choice and not self.choice.suits():
            found = "the cores are free again" if self.choice.asleep else "others use the cores by now"
            self._say(f"train: {found}, so it starts once more, its threads to wait otherwise")
            raise BeginAnewError

    def _say(self, line: str) -> None:
        if self.record:
            tqdm.write(line)
