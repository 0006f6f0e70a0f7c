"""A strided 1x1 convolution of a map with its channels last, whose gradient torch 2.13 gets wrong on a CPU."""

import subprocess
import sys

import pytest

PROGRAM = """
import torch
from genolang.api import Spec
from genolang.diagnostics import Source
from genolang.semantics.check import check_source
from torch.nn import functional as F

text = '''geno 1
network n {{
  input image({into}, 56, 57)
  body  relu -> conv(1, {out}, stride=2) -> relu
  head  global_avg_pool -> linear(2)
}}
'''
torch.manual_seed(0)
module = Spec(check_source(Source("t", text))).network().module()
x = torch.randn(2, {into}, 56, 57).to(memory_format=torch.channels_last).requires_grad_()
module(x).square().sum().backward()
own = {{k: v.detach().clone().requires_grad_() for k, v in module.named_parameters()}}
y = x.detach().contiguous().clone().requires_grad_()
out = F.relu(F.conv2d(F.relu(y), own["body.conv.weight"], stride=2)).mean((2, 3))
(out @ own["head.linear.weight"].T + own["head.linear.bias"]).square().sum().backward()
for name, parameter in module.named_parameters():
    torch.testing.assert_close(parameter.grad, own[name].grad)
torch.testing.assert_close(x.grad, y.grad)
"""


@pytest.mark.parametrize(("into", "out"), [(8, 16), (3, 16), (16, 8)])
def test_its_gradient_is_right_and_the_process_lives(into: int, out: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(into=into, out=out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
