"""MIL's operators, a group of them a file; importing this registers them all."""

from devices.mil.ops import activation as _activation
from devices.mil.ops import classification as _classification
from devices.mil.ops import compression as _compression
from devices.mil.ops import convolution as _convolution
from devices.mil.ops import elementwise as _elementwise
from devices.mil.ops import normalisation as _normalisation
from devices.mil.ops import pooling as _pooling
from devices.mil.ops import quantization as _quantization
from devices.mil.ops import reduction as _reduction
from devices.mil.ops import shape as _shape
from devices.mil.ops.registry import KERNELS

GROUPS = (
    _activation,
    _classification,
    _compression,
    _convolution,
    _elementwise,
    _normalisation,
    _pooling,
    _quantization,
    _reduction,
    _shape,
)
__all__ = ["GROUPS", "KERNELS"]
