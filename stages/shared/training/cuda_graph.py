"""Capture a training step as a CUDA graph, because launching single kernels would take most of the time."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from stages.shared.training.loop import Trainer


def capture(trainer: "Trainer") -> Callable[[Tensor], None]:
    """Capture the training step for full batches; the trainer's state doesn't change."""
    device = trainer.space.device
    indices = torch.zeros(trainer.recipe.batch_size, dtype=torch.int64, device=device)
    state = trainer.state()
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with (
        torch.cuda.stream(stream),
        trainer.no_grad(),
    ):  # warm-up before the capture, on a separate stream
        for _ in range(3):
            trainer.step(indices)
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph), trainer.no_grad():
        trainer.step(indices)
    trainer.restore(state)

    def replay(batch: Tensor) -> None:
        indices.copy_(batch)
        graph.replay()

    return replay
