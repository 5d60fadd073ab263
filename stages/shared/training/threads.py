"""Choose the number of PyTorch threads for an epoch."""

from typing import TYPE_CHECKING

import torch

from stages.shared.arrays import Uint8
from stages.shared.runtime.cores import Cores

if TYPE_CHECKING:
    from stages.shared.training.loop import Trainer

_BUSY = 0.3  # cores used by other programs, beyond which one thread is faster
_IMAGES = 3072  # held-out images to compare with: a full batch and another one


def adapt(trainer: "Trainer", held_out: Uint8 | None, cores: Cores | None) -> None:
    """Use one thread if the cores are busy and the result is identical; otherwise use all threads.

    The threads wait for each other many times per step. If another program uses the core of one thread, all of them
    wait, and training takes about four times as long.
    """
    if cores is None or trainer.threads == 1 or trainer.group.size > 1 or trainer.space.device.type != "cpu":
        return
    torch.set_num_threads(trainer.threads)
    if cores.free() >= trainer.threads - _BUSY:
        return
    if trainer.is_same_on_one is None:
        trainer.is_same_on_one = _same_on_one(trainer, held_out)
    if trainer.is_same_on_one:
        torch.set_num_threads(1)
        cores.report_busy("so one thread trains; the result is identical")
    else:
        cores.report_busy("which slows training; one thread would be faster, but changes the last digits of the result")


def _same_on_one(trainer: "Trainer", held_out: Uint8 | None) -> bool:
    """Whether one thread gives bit-identical gradients and losses, for a full batch and for the last batch.

    This depends on how the library splits matrix products of these shapes. At the end, PyTorch uses all threads again.
    """
    if trainer.transform:
        trainer.transform.draw(trainer.steps_done)
    results = []
    for threads in 1, trainer.threads:
        torch.set_num_threads(threads)
        with torch.random.fork_rng(devices=[]), trainer.no_grad():
            size, rows = trainer.recipe.batch_size, len(trainer.rows)
            for count in {min(size, rows), rows % size or min(size, rows)}:
                loss = trainer.backward(torch.arange(count))
                results.append(torch.cat([trainer.sums[:-1], loss[None]]))
            if held_out is not None:
                results.append(torch.tensor([trainer.space.evaluate(held_out[:_IMAGES])]))
    half = len(results) // 2
    return all(map(torch.equal, results[:half], results[half:]))
