"""Ditto Avatar: a talking face that answers in real time."""

import os

__version__ = "0.1.0"

# NumPy and OpenCV read this once, when they are loaded. The products of matrices here are small:
# threads of OpenBLAS wait for each other longer than they compute, on a busy machine ten times so.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
