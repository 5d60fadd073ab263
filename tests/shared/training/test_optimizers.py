"""Optimizers: each starts as PyTorch starts it."""

import pytest
import torch
from torch import nn

from stages.shared.training.optimizers import OPTIMIZERS, make_optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_set_to_zero_is_the_one_that_pytorch_starts_with(name: str) -> None:
    ours, theirs = (nn.Parameter(torch.linspace(-1, 1, 20)) for _ in range(2))
    ours.grad = torch.ones(20)
    prepared, fresh = make_optimizer(name, ours), OPTIMIZERS[name]([theirs], lr=0.01)
    assert not any(tensor.any() for tensor in prepared.state[ours].values())
    prepared.param_groups[0]["lr"].fill_(0.01)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _ in range(5):
            ours.grad = theirs.grad = torch.randn(20, generator=random)
            prepared.step()
            fresh.step()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-7)
