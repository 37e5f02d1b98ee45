"""Convolution, transposed convolution, pooling and up-sampling of maps [b, h, w, c].

This package alone knows how a platform computes them: an accelerator by the compiler's operators, the
CPU by products of matrices (``products``). Sound is maps of height 1.
"""

from aejax.conv.layers import Conv, ConvTranspose, convolve, convolve_transposed, pads_to
from aejax.conv.resampling import average_pool, bilinear, max_pool, nearest

__all__ = [
    "Conv",
    "ConvTranspose",
    "average_pool",
    "bilinear",
    "convolve",
    "convolve_transposed",
    "max_pool",
    "nearest",
    "pads_to",
]
