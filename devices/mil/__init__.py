"""Core ML without a Mac: a reference interpreter for saved ``.mlpackage`` files.

`load` gives a `Program` that computes what the file says, half precision rounded operator by
operator. It shows whether a file is right, never how fast a device is.
"""

from devices.mil.errors import MilError, UnknownError
from devices.mil.program import Operator, Program, load
from devices.mil.tensors import Port

__all__ = ["MilError", "Operator", "Port", "Program", "UnknownError", "load"]
