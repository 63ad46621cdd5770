"""Kernels of our own for the convolutions that cuDNN is slow at, in Triton."""
