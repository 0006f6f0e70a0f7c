import subprocess
import sys

import pytest
import torch

from genolang.api import check
from genolang.kernels import masking, mixed_sum
from genolang.kernels.dispatch import choose, why
from genolang.kernels.record import Kernel

ALL = frozenset({"fused", "cpu", "reference"})
KERNEL = Kernel("example", "", ALL, {}, {}, obstacle=lambda inputs: "")
INPUTS = (torch.zeros(2, 3),)


def test_inputs_on_a_cpu_get_the_cpu_path_where_there_is_one() -> None:
    assert choose(KERNEL, INPUTS) == "cpu"
    assert choose(Kernel("plain", "", frozenset({"fused", "reference"}), {}, {}), INPUTS) == "reference"


def test_the_environment_asks_for_all_kernels_or_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENOLANG_KERNELS", "reference")
    assert choose(KERNEL, INPUTS) == "reference"
    monkeypatch.setenv("GENOLANG_KERNELS", "other=fused, example=reference")
    assert choose(KERNEL, INPUTS) == "reference"
    assert choose(KERNEL, INPUTS, "cpu") == "cpu"
    monkeypatch.setenv("GENOLANG_KERNELS", "other=reference")
    assert choose(KERNEL, INPUTS) == "cpu"


def test_an_unknown_implementation_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no implementation 'quick'; it has cpu, fused, reference"):
        choose(KERNEL, INPUTS, "quick")


def test_the_fused_kernel_is_never_interpreted_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="not on a GPU"):
        choose(KERNEL, INPUTS, "fused")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert choose(KERNEL, INPUTS) == "cpu"
    assert choose(KERNEL, INPUTS, "fused") == "fused"


def test_a_kernel_may_say_what_runs_where_nothing_of_its_own_can() -> None:
    kernel = Kernel("example", "", frozenset({"fused", "plain", "reference"}), {}, {}, otherwise="plain")
    assert choose(kernel, INPUTS) == "plain" and choose(kernel, INPUTS, "reference") == "reference"


def test_why_is_one_sentence() -> None:
    assert why(KERNEL, INPUTS) == "example runs as cpu: the inputs are not on a GPU."


def test_importing_the_kernels_starts_neither_triton_nor_a_device_nor_the_language() -> None:
    program = (
        "import sys, torch; state = torch.get_rng_state(), torch.get_default_dtype(), torch.get_num_threads(); "
        "from genolang.kernels import masking, mixed_sum, relative_attention; "
        "print('triton.language' in sys.modules, torch.cuda.is_initialized(), 'lark' in sys.modules, "
        "not torch.equal(state[0], torch.get_rng_state()), "
        "state[1:] != (torch.get_default_dtype(), torch.get_num_threads()), "
        "*(n for n in sys.modules if n.startswith('genolang.') and n.split('.')[1] not in ('kernels', 'version')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"] * 5


@pytest.mark.parametrize("kernel", [mixed_sum.KERNEL, *masking.KERNELS.values()], ids=lambda kernel: kernel.name)
def test_patterns_are_definitions_of_the_language(kernel: Kernel) -> None:
    assert check(f"geno 1\n{kernel.pattern}\n") == []


def test_what_is_not_worth_it_stays_with_plain_operations_unless_asked_for() -> None:
    small = Kernel("small", "", ALL, {}, {}, not_worth=lambda inputs: "it is small")
    assert why(small, INPUTS) == "small runs as reference: it is small."
    assert choose(small, INPUTS, "cpu") == "cpu"
