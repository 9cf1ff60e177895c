"""What tests of networks ask of them, mostly without memory for their weights."""

import torch
from torch import nn

from models.analysis import analyse
from models.checkpoint import create
from models.registry import resolve


def shapes_only(name, **counts):
    with torch.device("meta"):
        return create(resolve(name), **counts).eval()


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def layout(module):
    return [(key, tuple(tensor.shape)) for key, tensor in module.state_dict().items()]


def norm(prefix, channels):
    vectors = ("weight", "bias", "running_mean", "running_var")
    return [
        *((f"{prefix}.{v}", (channels,)) for v in vectors),
        (f"{prefix}.num_batches_tracked", ()),
    ]


def feature_maps(module, x):
    """The shape after each module without children, batch left out."""
    found = []
    leaves = [m for m in module.modules() if not list(m.children())]
    hooks = [
        m.register_forward_hook(lambda m, i, o: found.append(tuple(o.shape[1:]))) for m in leaves
    ]
    module(x)
    for hook in hooks:
        hook.remove()
    return found


def analysed(name):
    """The analysis of a network as it is exported."""
    spec, module = resolve(name), shapes_only(name)
    image = torch.empty(1, spec.channels, *spec.size, device="meta")
    return analyse(torch.export.export(module, (image,)))


def macs(name):
    """Multiply-accumulates of each convolution and linear layer, by the layer's name."""
    return {layer.name: layer.macs for layer in analysed(name).layers if layer.macs}


def weights(module):
    """The count of weights of each convolution and linear layer, biases left out."""
    layers = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return [layer.weight.numel() for layer in layers]
