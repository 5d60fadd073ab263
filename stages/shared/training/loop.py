"""The training loop: epochs, batches, forward, loss, backward, step, log, checkpoint."""

import math
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace

import torch
from torch import Generator, Tensor
from tqdm import tqdm

from stages.shared.arrays import Uint8
from stages.shared.model.autoencoder import Autoencoder
from stages.shared.model.history import checkpoint_epochs
from stages.shared.runtime.cores import Cores
from stages.shared.runtime.errors import InputError
from stages.shared.training import cuda_graph, threads
from stages.shared.training.distributed import ALONE, Group
from stages.shared.training.gradients import FastGradient, on_one_thread
from stages.shared.training.log import TrainingLog
from stages.shared.training.losses import LOSSES
from stages.shared.training.network import flatten
from stages.shared.training.optimizers import make_optimizer
from stages.shared.training.recipe import Recipe
from stages.shared.training.schedules import SCHEDULES
from stages.shared.training.space import Space
from stages.shared.training.store import CheckpointStore


class Trainer:
    """Trains the network of a `Space` on its rows; `group` are the processes that share each batch.

    The same arguments give bit-identical weights, if build, device, and number of threads and processes are also the
    same.
    """

    def __init__(self, space: Space, recipe: Recipe, group: Group = ALONE) -> None:
        self.space, self.recipe, self.group = space, recipe, group
        self.rows, self.network, self.transform = space.rows, space.network, space.transform
        self.parameters, self.sums = flatten(self.network)
        self.loss = LOSSES[recipe.loss]
        self.fast = FastGradient(self.network) if FastGradient.supports(self.network, recipe.loss) else None
        self.optimizer = make_optimizer(recipe.optimizer, self.parameters)
        self.schedule, self.rate = SCHEDULES[recipe.schedule], self.optimizer.param_groups[0]["lr"]
        self.random = Generator().manual_seed(recipe.seed)  # for the order of the rows
        self.order_state = self.random.get_state()  # at the start of the epoch
        self.total = torch.zeros((), device=space.device)  # of the rows' losses in this epoch
        self.losses: list[list[float]] = []  # of each epoch: mean during the epoch, loss after it
        self.epochs_done, self.steps_done = 0, 0
        self.steps = self.steps_until(recipe.epochs)
        self.kept = checkpoint_epochs(recipe.epochs, recipe.checkpoints)
        self.threads = torch.get_num_threads()
        self.is_same_on_one: bool | None = None  # whether one thread gives the same bits; unknown before it is needed
        captured = self.rows.is_cuda and group.size == 1
        self.full_step = cuda_graph.capture(self) if captured else self.step

    def fit(
        self,
        held_out: Uint8 | None = None,
        log: TrainingLog | None = None,
        store: CheckpointStore | None = None,
        cores: Cores | None = None,
    ) -> None:
        """Train until the last epoch of the recipe; raises `InputError` if a loss is not finite.

        held_out: images, uint8 [N, height, width, channels], for the loss after each epoch.
        log, store: where results and states are written; only for rank 0.
        cores: used to choose the number of threads.
        """
        epochs, no_bar = self.recipe.epochs, None if log else True  # None: only in a terminal
        with tqdm(total=self.steps, initial=self.steps_done, unit=" steps", leave=False, disable=no_bar) as bar:
            for epoch in range(self.epochs_done + 1, epochs + 1):
                bar.set_description(f"epoch {epoch}/{epochs}")
                threads.adapt(self, held_out, cores)
                self.network.train()
                with self.no_grad():
                    for indices in self.batches():
                        self.train_batch(indices)
                        bar.update()
                        if store and store.is_due():
                            store.save(self.state())
                train_loss = self.end_epoch()
                loss = train_loss if held_out is None else self.space.evaluate(held_out, self.group)
                _check_finite(train_loss + loss, epoch, self.recipe.learning_rate)
                self.losses.append([train_loss, loss])
                if log and store:
                    log.add(train_loss, loss)
                    if epoch in self.kept:
                        store.add(epoch, log.add_checkpoint(epoch, self.space.autoencoder(log.training)))
                    store.save(self.state())
                    tqdm.write(f"epoch {epoch}/{epochs}: train loss {train_loss:.5f}, {log.split} loss {loss:.5f}")

    def resume(self, log: TrainingLog | None, store: CheckpointStore) -> None:
        """Resume from the state in the store of rank 0, if there is one, and add its epochs to the log."""
        state = self.group.broadcast(store.load(self.recipe.epochs, self.kept))
        if state is None:
            return
        self.restore(state)
        if log:
            for losses in self.losses:
                log.add(*losses)
            for epoch in store.hashes:
                kept = Autoencoder.read(store.checkpoint(epoch))
                log.add_checkpoint(epoch, replace(kept, training=log.training))  # `epochs` may differ
            steps = self.steps_done - self.steps_until(self.epochs_done)
            where = f"from epoch {self.epochs_done + 1}" + (f", step {steps + 1}" if steps else "")
            where = where if self.epochs_done < self.recipe.epochs else "after the last epoch"
            print(f"train: resumes an earlier training {where}")

    def train_batch(self, indices: Tensor) -> None:
        """Do one training step, with the rows at these indices."""
        step = self.full_step if len(indices) == self.recipe.batch_size else self.step
        self.rate.fill_(self.recipe.learning_rate * self.schedule(self.steps_done, self.steps))
        if self.transform:
            self.transform.draw(self.steps_done)
        step(indices)
        self.steps_done += 1

    def step(self, indices: Tensor) -> None:
        """The part of `train_batch` that a CUDA graph can capture: forward, loss, backward, step."""
        loss = self.backward(indices)
        if self.group.size > 1:
            self.sums[-1] = loss
            self.sums.mul_(len(self.group.shard(indices)) / len(indices))
            self.group.all_reduce(self.sums)
            loss = self.sums[-1]
        self.optimizer.step()
        self.total.add_(loss, alpha=len(indices))

    def backward(self, indices: Tensor) -> Tensor:
        """Write the gradient of this process's shard of the batch to `sums`; return the loss of the shard."""
        shard = self.group.shard(indices)
        if not len(shard):
            return self.sums.zero_()[-1]
        x = self.rows.index_select(0, shard).to(self.space.device)  # [batch, size]
        x = target = x.div(255) if x.dtype == torch.uint8 else x
        if self.transform:
            x, target = self.transform.apply(x, self.group.shard(self.transform.drawn[: len(indices)]))
        if self.fast:
            return self.fast(x, target)
        with torch.enable_grad():
            self.optimizer.zero_grad(set_to_none=False)
            loss = on_one_thread(self.loss, self.network(x), target)
            loss.backward()
        return loss.detach()

    def no_grad(self) -> AbstractContextManager[None]:
        """Context for training steps: inference mode, because it is faster, unless autograd is needed."""
        return torch.inference_mode() if self.fast else torch.no_grad()

    def steps_until(self, epoch: int) -> int:
        """Number of steps from the start of the training to the end of `epoch`."""
        if self.recipe.steps is None:
            return epoch * math.ceil(len(self.rows) / self.recipe.batch_size)
        return epoch * self.recipe.steps // self.recipe.epochs

    def rows_in_epoch(self) -> int:
        """Number of rows in this epoch: all rows, or with `steps` in the recipe a full batch for each step."""
        if self.recipe.steps is None:
            return len(self.rows)
        done = self.epochs_done
        return self.recipe.batch_size * (self.steps_until(done + 1) - self.steps_until(done))

    def batches(self) -> Iterable[Tensor]:
        """The remaining batches of this epoch, each as indices of rows, in random order."""
        count, order = self.rows_in_epoch(), torch.empty(0, dtype=torch.int64)
        while len(order) < count:
            order = torch.cat([order, torch.randperm(len(self.rows), generator=self.random)])
        batches = order[:count].to(self.rows.device).split(self.recipe.batch_size)
        return self.space.prefetch(batches[self.steps_done - self.steps_until(self.epochs_done) :])

    def end_epoch(self) -> float:
        """End the epoch; return the mean loss of the rows trained on in it."""
        loss = self.space.train_loss(self.total.item() / self.rows_in_epoch())
        self.total.zero_()
        self.epochs_done, self.order_state = self.epochs_done + 1, self.random.get_state()
        return loss

    def state(self) -> dict[str, Tensor]:
        """Copy everything that `restore` needs to main memory."""
        counts = torch.tensor([self.epochs_done, self.steps_done])
        losses = torch.tensor(self.losses, dtype=torch.float64).view(-1, 2)
        tensors = {"counts": counts, "losses": losses, "order": self.order_state, **self._changing()}
        tensors["random"] = torch.cuda.get_rng_state() if self.parameters.is_cuda else torch.get_rng_state()
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state that `state` returned, in a trainer with the same arguments; `epochs` may differ.

        Tensors are overwritten in place, because a captured CUDA graph reads the same memory.
        """
        self.epochs_done, self.steps_done = state["counts"].tolist()
        self.losses, self.order_state = state["losses"].tolist(), state["order"]
        self.random.set_state(self.order_state)
        (torch.cuda.set_rng_state if self.parameters.is_cuda else torch.set_rng_state)(state["random"])
        for name, tensor in self._changing().items():
            tensor.copy_(state[name])

    def _changing(self) -> dict[str, Tensor]:
        optimizer = {f"optimizer.{name}": tensor for name, tensor in self.optimizer.state[self.parameters].items()}
        return {"parameters": self.parameters, "total": self.total, **optimizer}


def _check_finite(loss: float, epoch: int, rate: float) -> None:
    if not math.isfinite(loss):
        raise InputError(
            f"the loss is {loss} in epoch {epoch}: training diverged with learning_rate {rate}; "
            f"try a smaller learning_rate, such as {rate / 10:g}"
        )
