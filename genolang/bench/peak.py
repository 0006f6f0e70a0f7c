"""The most memory that a piece of work holds at once, and giving back what earlier work has freed."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile


def peak_bytes(work: Callable[[], object], device: torch.device) -> int:
    """Bytes; on a GPU by the allocator's own count, on a CPU by the profiler's list of allocations."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        work()
    results = found.profiler.kineto_results
    events = sorted((e for e in results.events() if e.name() == "[memory]"), key=lambda e: e.start_ns())
    total = most = 0
    for event in events:
        total += event.nbytes()
        most = max(most, total)
    return most


def release(device: torch.device) -> None:
    """Gives freed memory back, so that large tensors are as dear as they were to whoever came first."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
