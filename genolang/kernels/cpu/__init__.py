"""Layers of search networks on a CPU, each formulated for what ATen and oneDNN are good at.

All of it is exact up to rounding, takes float32 or float64 maps (B, C, H, W) and works on them in
channels_last order. Nothing here knows a graph; who calls decides when a formulation is worth it.
"""
