"""Started by `compiled.compile_families`: compile the `variants()` of files and print what came out as JSON.

What was compiled before and would come out the same is taken from the kept figures: a row's key is made of
the kernels' text, the variant and the target, and the kept figures belong to one version of Triton.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource

sys.path.insert(0, str(Path(__file__).parents[1]))
from kernel_harness.compiled import LIMITS, Type, Variant

TARGETS = {
    "cuda:80": GPUTarget("cuda", 80, 32),
    "cuda:90": GPUTarget("cuda", 90, 32),
    "hip:gfx942": GPUTarget("hip", "gfx942", 64),
}


def source(variant: Variant) -> ASTSource:
    names = variant.function.arg_names
    signature: dict[str, Any] = {}
    constants: dict[tuple[int, ...], Any] = {}
    attributes: dict[tuple[int, ...], Any] = {}
    for index, name in enumerate(names):
        if name in variant.constants:
            signature[name] = "constexpr"
            constants[index,] = variant.constants[name]
        else:
            signature[name] = plain(variant.arguments[name])
            for path in divisible(variant.arguments[name], (index,)):
                attributes[path] = [["tt.divisibility", 16]]
    assert set(variant.arguments) | set(variant.constants) == set(names), variant.name
    return ASTSource(variant.function, signature, constants, attributes)


def plain(kind: Type) -> Any:
    return tuple(map(plain, kind)) if isinstance(kind, tuple) else kind.removesuffix(":16")


def divisible(kind: Type, path: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    if isinstance(kind, tuple):
        for index, part in enumerate(kind):
            yield from divisible(part, (*path, index))
    elif kind.endswith(":16"):
        yield path


def at_once(text: str, label: str, instruction: str) -> int:
    """The most of an instruction in one basic block: a loop's body, however often it was unrolled apart."""
    return max(len(re.findall(instruction, block)) for block in re.split(label, text, flags=re.MULTILINE))


def by_width(found: Counter[int]) -> dict[str, int]:
    return {str(width): count for width, count in sorted(found.items())}


def nvidia(text: str) -> dict[str, Any]:
    (arch,) = re.findall(r"^\.target (\w+)", text, re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kernel.ptx")
        file.write_text(text, encoding="utf-8")
        # Triton 3.5 brings one assembler, later versions one by architecture.
        which = [int(arch[3:5])][: len(inspect.signature(get_ptxas).parameters)]
        command = [get_ptxas(*which).path, "-v", f"--gpu-name={arch}", str(file), "-o", str(file.with_suffix(".cubin"))]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    loads: Counter[int] = Counter()
    for vector, bits in re.findall(r"\bld\.global[\w:.]*?(?:\.v(\d))?\.[bfsu](\d+)\b", text):
        loads[int(vector or 1) * int(bits) // 8] += 1
    copies = Counter(
        int(size, 0) for size in re.findall(r"\bcp\.async\.c[ag]\.shared\.global[^;]*?, (0x[0-9a-f]+|\d+)", text)
    )
    return {
        "registers": int(re.search(r"Used (\d+) registers", said)[1]),  # type: ignore[index]
        "spills": sum(map(int, re.findall(r"(\d+) bytes spill", said))),
        "exps": at_once(text, r"^\$?L__BB\w+:", r"\bex2\.approx"),
        "atomics": len(re.findall(r"(?<![\w.])(?:atom|red)\.", text)),
        "matrix": {kind: text.count(name) for kind, name in (("mma", "mma.sync"), ("wgmma", "wgmma.mma_async"))},
        "loads": by_width(loads),
        "copies": by_width(copies),
    }


WORDS = {"dwordx4": 16, "dwordx3": 12, "dwordx2": 8, "dword": 4, "ushort": 2, "short": 2, "sshort": 2, "ubyte": 1}


def amd(text: str) -> dict[str, Any]:
    def field(name: str) -> int:
        return int(re.search(rf"\.{name}:\s*(\d+)", text)[1])  # type: ignore[index]

    loads: Counter[int] = Counter()
    for word in re.findall(r"\b(?:global|buffer)_load_([a-z0-9]+)", text):
        loads[WORDS[word]] += 1
    return {
        "registers": field("vgpr_count"),
        "spills": 4 * field("vgpr_spill_count") + field("private_segment_fixed_size"),
        "exps": at_once(text, r"^\.LBB\w+:", r"\bv_exp_f32"),
        "atomics": len(re.findall(r"\b(?:global|buffer|flat)_atomic", text)),
        "matrix": {"mfma": text.count("v_mfma_")},
        "loads": by_width(loads),
        "copies": {},
    }


def measure(variant: Variant, target: str) -> dict[str, Any]:
    options = {"num_warps": variant.warps, "num_stages": variant.stages, **variant.options}
    done = triton.compile(source(variant), target=TARGETS[target], options=options)
    found = nvidia(done.asm["ptx"]) if target.startswith("cuda") else amd(done.asm["amdgcn"])
    # A product that no matrix unit does keeps a layout of its own.
    plain_products = len(re.findall(r"\btt\.dot\b[^\n]*-> tensor<[^>]*#blocked", done.asm["ttgir"]))
    return found | {"shared": done.metadata.shared, "plain_products": plain_products}


def key(variant: Variant, target: str) -> str:
    # A kernel's own file, and those of its folder that it may take functions from.
    there = sorted(Path(inspect.getsourcefile(variant.function.fn) or "").parent.glob("fused*.py"))
    kernels = "".join(file.read_text(encoding="utf-8") for file in there)
    said = [sorted(d.items(), key=str) for d in (variant.arguments, variant.constants, variant.options)]
    text = repr((kernels, variant.function.__name__, said, variant.warps, variant.stages, target))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def family(file: Path, kept: Path) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location(f"{file.parent.name}_variants", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    known = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    rows = known["kernels"] if known.get("triton") == triton.__version__ else {}
    found, limits, always = {}, {}, list[str]()
    for variant in module.variants():
        function = variant.function.__name__
        for target in variant.targets:
            name = f"{variant.name} @ {target}"
            assert name not in found, f"two variants are called {name}"
            limits[name] = {n: getattr(variant, n) for n in LIMITS} | {"may_spill": sorted(variant.may_spill)}
            # Of every kernel one form is compiled whatever is kept, for one target after the other.
            first = function not in always and target == list(TARGETS)[len(always) % len(TARGETS)]
            always += [function] * first
            mine = key(variant, target)
            if not first and rows.get(name, {}).get("key") == mine:
                found[name] = rows[name]
            elif first or not known or known.get("triton") == triton.__version__:
                print(name, file=sys.stderr, flush=True)
                found[name] = measure(variant, target) | {"key": mine}
    return {"found": found, "limits": limits, "triton": triton.__version__}


if __name__ == "__main__":
    # Each file of variants is followed by what is kept of it, which need not be there.
    pairs = zip(sys.argv[1::2], sys.argv[2::2], strict=True)
    print(json.dumps([family(Path(file), Path(kept)) for file, kept in pairs]))
