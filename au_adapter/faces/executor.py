"""Runs a TFLite graph in torch, on any device and in batches.

Tensors keep TFLite's layout [N, H, W, C]; torch's [N, C, H, W] is a view, so convolutions run on
channels-last memory without a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from .tflite import Operation, TFLiteGraph, read_graph

LARGEST = 2**26  # bytes of a file; Google's have 2.6 million
VALID = 1  # TFLite's code for no padding; 0 pads to ceil(size / stride)
Argument = Tensor | list[int] | None


class TFLiteNetwork(nn.Module):
    """A graph as a module: [N, ...] float32 in, one tensor [N, ...] for each output of the graph.

    The files are made for one picture; no operation here touches the first axis.
    """

    def __init__(self, graph: TFLiteGraph):
        super().__init__()
        self.graph = graph
        self._lists: dict[int, list[int]] = {}
        for index, array in graph.constants.items():
            if array.dtype.kind == "f":
                self.register_buffer(f"constant_{index}", torch.tensor(array, dtype=torch.float32))
            else:
                self._lists[index] = array.reshape(-1).tolist()
        self._last_use = {
            index: number
            for number, operation in enumerate(graph.operations)
            for index in operation.inputs
        }

    @property
    def input_size(self) -> int:
        """Side of the network's square input picture, in pixels."""
        return self.graph.shapes[self.graph.inputs[0]][1]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.buffers()).device

    def forward(self, x: Tensor) -> list[Tensor]:
        values = {self.graph.inputs[0]: x}
        for number, operation in enumerate(self.graph.operations):
            arguments = [self._argument(index, values) for index in operation.inputs]
            if operation.name in POINTWISE:
                result = _activate(POINTWISE[operation.name](*arguments), operation)
            else:
                shape = self.graph.shapes[operation.outputs[0]]
                result = RUN[operation.name](operation, shape, *arguments)
            values[operation.outputs[0]] = result
            for index in set(operation.inputs) - set(self.graph.outputs):
                if self._last_use[index] == number:
                    values.pop(index, None)
        return [values[index] for index in self.graph.outputs]

    def _argument(self, index: int, values: dict[int, Tensor]) -> Argument:
        if index < 0:  # an absent optional input, such as a bias
            return None
        if index in values:
            return values[index]
        return self._lists[index] if index in self._lists else getattr(self, f"constant_{index}")


def read_network(path: str | Path) -> TFLiteNetwork:
    """The network of a .tflite file; ValueError for any other file."""
    path = Path(path)
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} is larger than any of Google's face networks")
    return TFLiteNetwork(read_graph(path.read_bytes(), str(path)))


def _activate(x: Tensor, operation: Operation) -> Tensor:
    kind = operation.options.get("activation", 0)
    if kind == 0:
        return x
    low, high = {1: (0, None), 2: (-1, 1), 3: (0, 6)}[kind]
    return x.clamp(low, high)


def _padding(operation: Operation, size: torch.Size, kernel: tuple[int, int]) -> list[int]:
    """Pixels to add [left, right, top, bottom]; an odd one goes right and below."""
    sides = []
    for axis, name in ((1, "x"), (0, "y")):
        stride = operation.options[f"stride_{name}"]
        reach = (kernel[axis] - 1) * operation.options.get(f"dilation_{name}", 1) + 1
        places = -(-size[axis] // stride)
        total = max((places - 1) * stride + reach - size[axis], 0)
        total = 0 if operation.options["padding"] == VALID else total
        sides += [total // 2, total - total // 2]
    return sides


def _convolve(
    operation: Operation, _: tuple, x: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """Convolve [N, H, W, C]; a depthwise convolution has a kernel for each channel."""
    options, depthwise = operation.options, operation.name == "depthwise_conv_2d"
    weight = weight.permute(3, 0, 1, 2) if depthwise else weight.permute(0, 3, 1, 2)
    groups = x.shape[-1] if depthwise else 1
    left, right, top, bottom = _padding(operation, x.shape[1:3], weight.shape[2:])
    x = x.movedim(-1, 1)
    if left != right or top != bottom:
        x, left, top = functional.pad(x, (left, right, top, bottom)), 0, 0
    stride = (options["stride_y"], options["stride_x"])
    dilation = (options["dilation_y"], options["dilation_x"])
    y = functional.conv2d(x, weight, bias, stride, (top, left), dilation, groups)
    return _activate(y.movedim(1, -1), operation)


def _transposed(operation: Operation, _: tuple, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """MediaPipe's own operation; its kernels tile the result, so that no padding is left."""
    stride = (operation.options["stride_y"], operation.options["stride_x"])
    weight = weight.permute(3, 0, 1, 2)
    y = functional.conv_transpose2d(x.movedim(-1, 1), weight, bias, stride=stride)
    return y.movedim(1, -1)


def _pool(operation: Operation, _: tuple, x: Tensor) -> Tensor:
    options = operation.options
    function = functional.max_pool2d if operation.name == "max_pool_2d" else functional.avg_pool2d
    kernel = (options["height"], options["width"])
    if any(_padding(operation, x.shape[1:3], kernel)):
        raise NotImplementedError("pooling over a border")
    stride = (options["stride_y"], options["stride_x"])
    return _activate(function(x.movedim(-1, 1), kernel, stride).movedim(1, -1), operation)


def _resize(operation: Operation, _: tuple, x: Tensor, size: list[int]) -> Tensor:
    if not operation.options["half_pixel_centers"]:
        raise NotImplementedError("resizing from corner to corner")
    return functional.interpolate(x.movedim(-1, 1), size=size, mode="bilinear").movedim(1, -1)


def _depth_to_space(operation: Operation, _: tuple, x: Tensor) -> Tensor:
    """Channels become blocks of pixels; the block's position is the slower part of a channel."""
    block, (count, height, width, channels) = operation.options["block"], x.shape
    x = x.reshape(count, height, width, block, block, channels // block**2)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(count, height * block, width * block, -1)


def _pad(_: Operation, __: tuple, x: Tensor, sides: list[int]) -> Tensor:
    pairs = [sides[i : i + 2] for i in range(0, len(sides), 2)]
    return functional.pad(x, [side for pair in reversed(pairs) for side in pair])


def _concatenate(operation: Operation, shape: tuple, *parts: Tensor) -> Tensor:
    count = max(len(part) for part in parts)  # a constant part has one row, for every picture
    parts = [part.expand(count, *part.shape[1:]) for part in parts]
    return _activate(torch.cat(parts, operation.options["axis"]), operation)


def _slice(operation: Operation, _: tuple, x: Tensor, *bounds: list[int]) -> Tensor:
    """x[begin:end:step] on every axis but the first, which belongs to the pictures."""
    masks = operation.options
    parts: list[slice | int] = [slice(None)]
    for axis, (begin, end, step) in list(enumerate(zip(*bounds, strict=True)))[1:]:
        begin = None if masks["begin_mask"] >> axis & 1 else begin
        end = None if masks["end_mask"] >> axis & 1 else end
        parts.append(begin if masks["shrink_axis_mask"] >> axis & 1 else slice(begin, end, step))
    return x[tuple(parts)]


def _reduce(operation: Operation, _: tuple, x: Tensor, axes: list) -> Tensor:
    function = {"mean": torch.mean, "sum": torch.sum}[operation.name]
    return function(x, dim=axes, keepdim=bool(operation.options["keep_axes"]))


# From numbers to numbers, place by place.
POINTWISE: dict[str, Callable[..., Tensor]] = {
    **{"add": torch.add, "div": torch.div, "mul": torch.mul, "sub": torch.sub},
    **{"neg": torch.neg, "rsqrt": torch.rsqrt, "sqrt": torch.sqrt, "relu": torch.relu},
    **{"logistic": torch.sigmoid, "hard_swish": functional.hardswish},
    "squared_difference": lambda a, b: (a - b).square(),
    "prelu": lambda x, slopes: functional.prelu(x.movedim(-1, 1), slopes.reshape(-1)).movedim(
        1, -1
    ),
}
# The others take the operation, its output's shape in the file, and its inputs.
RUN: dict[str, Callable[..., Tensor]] = {
    "Convolution2DTransposeBias": _transposed,
    **{"conv_2d": _convolve, "depthwise_conv_2d": _convolve},
    **{"average_pool_2d": _pool, "max_pool_2d": _pool},
    **{"mean": _reduce, "sum": _reduce},
    "concatenation": _concatenate,
    "depth_to_space": _depth_to_space,
    "pad": _pad,
    "reshape": lambda _, shape, x, *__: x.reshape(len(x), *shape[1:]),
    "resize_bilinear": _resize,
    "strided_slice": _slice,
    "transpose": lambda _, __, x, axes: x.permute(axes),
}
