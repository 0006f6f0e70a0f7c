"""What fused kernels and compiled networks gain: checked first, then timed in turn in one process."""
