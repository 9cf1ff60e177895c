"""What is counted of each layer and of a whole network: plain data, without torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """One operator. `output_shape` is that of one image; `activation_bytes` is what it allocates.

    `weight_bytes` counts the layer's parameters in float32. A parameter that several layers share
    is counted with the first. `receptive_field` is in input pixels along each axis, None where it
    is the whole input (or unknown). `kernel` and `stride` are those of a convolution or pool.
    `written_over` is the index of the layer whose memory this one takes over.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
    activation_bytes: int
    weight_bytes: int
    bytes_moved: int
    receptive_field: tuple[int, ...] | None
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    written_over: int | None = None

    @property
    def intensity(self) -> float:
        """Arithmetic intensity: MACs per byte moved (inputs, weights and output, each once)."""
        return self.macs / self.bytes_moved if self.bytes_moved else 0.0


@dataclass(frozen=True)
class Analysis:
    """A network's layers, its input first, and their totals.

    `total_activation_bytes` is the sum of all that the layers allocate, the input included;
    `peak_activation_bytes` the largest sum of tensors alive at once in the program's order.
    """

    layers: tuple[Layer, ...]
    parameters: int
    macs: int
    total_activation_bytes: int
    peak_activation_bytes: int
