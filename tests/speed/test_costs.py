"""Parameters, multiply-adds and memory against counts by hand."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cofusion.speed.case import Case
from cofusion.speed.costs import costs, multiply_adds, parameters


class Net(nn.Module):
    """A strided convolution, an attention over 6 tokens and a matrix product."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1, groups=1)
        self.depthwise = nn.Conv2d(8, 8, 5, padding=2, groups=8)
        self.linear = nn.Linear(8, 5, bias=False)

    def forward(self, x, _):
        maps = self.depthwise(self.conv(x))
        tokens = maps.flatten(2).transpose(1, 2).unsqueeze(1)
        return self.linear(F.scaled_dot_product_attention(tokens, tokens, tokens))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_multiply_adds_are_those_of_convolutions_products_and_attention(mode):
    net = Net()
    with mode():
        counted = multiply_adds(net, (torch.rand(1, 3, 4, 6), torch.rand(1)))
    tokens = 2 * 3
    literal = tokens * (8 * 3 * 9 + 8 * 25 + 8 * 5) + 2 * tokens * tokens * 8
    assert counted == literal
    assert parameters(net) == (8 * 3 * 9 + 8) + (8 * 25 + 8) + 8 * 5


def test_added_memory_is_what_a_job_holds_at_a_time():
    # In a process of its own: where other tests have fragmented the heap, not all of it can be given back.
    program = """
import torch
from cofusion import memory

def job():
    for _ in range(3):
        torch.ones(8 * 2**20).add_(1)

print(*(memory.added(job) for _ in range(2)))
"""
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    # Memory that was kept from the first time counts in the second as well.
    assert all(31 * 2**20 < int(each) < 48 * 2**20 for each in shown.split()), shown


def test_memory_of_a_network_grows_with_the_image_and_compiled_ones_are_not_measured():
    cases = [Case(16, (5, 3)), Case(64, (5, 3)), Case(16, (5, 3), precision="compiled")]
    small, large, compiled = costs("hsrnet", cases)
    assert small.parameters == large.parameters
    # But for the attention over channels, all of its convolutions work on pixels.
    assert large.multiply_adds == pytest.approx(16 * small.multiply_adds, rel=0.001)
    # At least the features of one layer: 64 channels of 64 x 64 float32.
    assert large.peak > max(small.peak, 64 * 64 * 64 * 4)
    assert compiled.peak is None
    assert compiled.multiply_adds == small.multiply_adds
