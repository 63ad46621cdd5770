"""Kernels of our own, in Triton, for what cuDNN is slow at: the decoder's modulations and hidden
maps, the mask, and the two ends of the warp network."""
