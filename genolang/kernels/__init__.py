"""Fused kernels: a leaf package that imports torch and triton and nothing of genolang."""

if __name__ != "genolang.kernels":
    raise ImportError("this folder is the package genolang.kernels; import it by that name")
