"""Reads a TFLite file, a graph of operations with its constants, with numpy only.

A TFLite file is a flatbuffer: tables with a list of offsets to their fields. Field numbers and
codes are those of TensorFlow Lite's schema, version 3 (schema.fbs).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np

IDENTIFIER = b"TFL3"
DTYPES = {0: "<f4", 1: "<f2", 2: "<i4", 3: "|u1", 4: "<i8", 9: "|i1"}
CUSTOM = 32
OPERATIONS = {
    0: "add", 1: "average_pool_2d", 2: "concatenation", 3: "conv_2d", 4: "depthwise_conv_2d",
    5: "depth_to_space", 6: "dequantize", 14: "logistic", 17: "max_pool_2d", 18: "mul", 19: "relu",
    22: "reshape", 23: "resize_bilinear", 34: "pad", 39: "transpose", 40: "mean", 41: "sub",
    42: "div", 45: "strided_slice", 54: "prelu", 59: "neg", 74: "sum", 75: "sqrt", 76: "rsqrt",
    99: "squared_difference", 117: "hard_swish", 124: "densify",
}  # fmt: skip
# Options in the order of their field numbers: name, struct format, value when absent.
_STRIDES = [("padding", "b", 0), ("stride_x", "i", 1), ("stride_y", "i", 1)]
_DILATION = [("dilation_x", "i", 1), ("dilation_y", "i", 1)]
_ACTIVATION = [("activation", "b", 0)]
_POOL = [*_STRIDES, ("width", "i", 1), ("height", "i", 1), *_ACTIVATION]
_CORNERS = [("align_corners", "b", 0), ("half_pixel_centers", "b", 0)]
_MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
OPTIONS = {
    **dict.fromkeys(("add", "sub", "mul", "div"), _ACTIVATION),
    "conv_2d": [*_STRIDES, *_ACTIVATION, *_DILATION],
    "depthwise_conv_2d": [*_STRIDES, ("multiplier", "i", 1), *_ACTIVATION, *_DILATION],
    **dict.fromkeys(("average_pool_2d", "max_pool_2d"), _POOL),
    "concatenation": [("axis", "i", 0), *_ACTIVATION],
    "depth_to_space": [("block", "i", 0)],
    **dict.fromkeys(("mean", "sum"), [("keep_axes", "b", 0)]),
    "resize_bilinear": [("height", "i", 0), ("width", "i", 0), *_CORNERS],
    "strided_slice": [(name, "i", 0) for name in _MASKS],
}


@dataclass(frozen=True)
class Operation:
    """One step of the graph; inputs and outputs are numbers of tensors."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TFLiteGraph:
    """Operations in order of execution. Constants are float32, or integers for shapes and axes;
    `shapes` holds every tensor's shape in TFLite's layout [1, H, W, C]."""

    operations: list[Operation]
    constants: dict[int, np.ndarray]
    shapes: dict[int, tuple[int, ...]]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class FlatTable:
    """A table of a flatbuffer. Fields have numbers; an absent one has its default."""

    def __init__(self, data: bytes, position: int):
        self.data = data
        self.position = position
        self.fields = position - struct.unpack_from("<i", data, position)[0]
        self.size = struct.unpack_from("<H", data, self.fields)[0]

    def _place(self, number: int) -> int | None:
        entry = 4 + 2 * number
        if entry >= self.size:
            return None
        offset = struct.unpack_from("<H", self.data, self.fields + entry)[0]
        return self.position + offset if offset else None

    def _target(self, number: int) -> int | None:
        place = self._place(number)
        return None if place is None else self._follow(place)

    def _follow(self, place: int) -> int:
        return place + struct.unpack_from("<I", self.data, place)[0]

    def integer(self, number: int, layout: str = "i", default: int = 0) -> int:
        """A number of one of struct's formats."""
        place = self._place(number)
        return default if place is None else struct.unpack_from(f"<{layout}", self.data, place)[0]

    def table(self, number: int) -> FlatTable | None:
        """Another table, or None."""
        target = self._target(number)
        return None if target is None else FlatTable(self.data, target)

    def vector(self, number: int, dtype: str = "<i4") -> np.ndarray:
        """A vector of numbers; empty when absent."""
        target = self._target(number)
        if target is None:
            return np.zeros(0, dtype)
        count = struct.unpack_from("<I", self.data, target)[0]
        return np.frombuffer(self.data, dtype, count, target + 4)

    def tables(self, number: int) -> list[FlatTable]:
        """A vector of tables; empty when absent."""
        start = self._target(number)
        places = range(start + 4, start + 4 + 4 * len(self.vector(number)), 4) if start else ()
        return [FlatTable(self.data, self._follow(place)) for place in places]


def read_graph(data: bytes, name: str) -> TFLiteGraph:
    """The graph of a TFLite file's bytes; `name` is what errors call it.

    Raises ValueError for another kind of file, an incomplete one, or an unsupported operation.
    """
    if data[4:8] != IDENTIFIER:
        raise ValueError(f"{name} is not a TFLite model: it does not begin with the mark TFL3")
    try:
        return _graph(FlatTable(data, struct.unpack_from("<I", data)[0]))
    except NotImplementedError as error:
        raise ValueError(f"{name} cannot be read: {error}") from error
    except (struct.error, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{name} is damaged or incomplete ({len(data)} bytes): download it again"
        ) from error


def _graph(model: FlatTable) -> TFLiteGraph:
    graph, buffers = model.tables(2)[0], model.tables(4)
    tensors = graph.tables(0)
    codes = [_operation_name(code) for code in model.tables(1)]
    constants = {}
    for index, tensor in enumerate(tensors):
        content = buffers[tensor.integer(2, "I")].vector(0, "|u1")
        if len(content):
            constants[index] = _constant(tensor, content)
    operations = [_operation(step, codes) for step in graph.tables(3)]
    operations = [step for step in operations if not _is_folded(step, constants)]
    used = {index for step in operations for index in step.inputs}
    return TFLiteGraph(
        operations=operations,
        constants={index: array for index, array in constants.items() if index in used},
        shapes={index: tuple(tensor.vector(0).tolist()) for index, tensor in enumerate(tensors)},
        inputs=tuple(graph.vector(1).tolist()),
        outputs=tuple(graph.vector(2).tolist()),
    )


def _operation_name(code: FlatTable) -> str:
    number = max(code.integer(0, "b"), code.integer(3))  # the second field holds codes above 127
    if number == CUSTOM:
        return bytes(code.vector(1, "|u1")).decode()
    if number not in OPERATIONS:
        raise NotImplementedError(f"its operation {number} is not one of those known here")
    return OPERATIONS[number]


def _operation(step: FlatTable, codes: list[str]) -> Operation:
    name = codes[step.integer(0, "I")]
    table = step.table(4)
    options = {
        option: table.integer(number, layout, default) if table else default
        for number, (option, layout, default) in enumerate(OPTIONS.get(name, ()))
    }
    if name == "Convolution2DTransposeBias":  # a struct of MediaPipe's: padding and strides
        _, *strides = struct.unpack("<3i", bytes(step.vector(5, "|u1")))
        options = dict(zip(("stride_x", "stride_y"), strides, strict=True))
    return Operation(name, tuple(step.vector(1).tolist()), tuple(step.vector(2).tolist()), options)


def _is_folded(step: Operation, constants: dict[int, np.ndarray]) -> bool:
    """Whether a step only unpacks a constant; if so, its output becomes a constant."""
    if step.name not in ("dequantize", "densify"):
        return False
    if step.inputs[0] not in constants:
        raise NotImplementedError(f"it applies {step.name} to something not constant")
    source = constants[step.inputs[0]]
    constants[step.outputs[0]] = source.astype("<f4") if step.name == "dequantize" else source
    return True


def _constant(tensor: FlatTable, content: np.ndarray) -> np.ndarray:
    kind = tensor.integer(1, "b")
    if kind not in DTYPES:
        raise NotImplementedError(f"its constants have the type {kind}, unknown here")
    quantization = tensor.table(4)
    if quantization is not None and len(quantization.vector(2, "<f4")):
        raise NotImplementedError("its weights are quantized to integers; take the float16 file")
    values, shape = content.view(DTYPES[kind]), tuple(tensor.vector(0).tolist())
    sparsity = tensor.table(6)
    return values.reshape(shape) if sparsity is None else _dense(sparsity, values, shape)


def _dense(sparsity: FlatTable, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A dense array of a sparse tensor's values.

    Each axis is either dense or lists, for every place reached so far, the positions it keeps.
    """
    order, blocks = sparsity.vector(0).tolist(), sparsity.vector(1)
    if order != list(range(len(shape))) or len(blocks):
        raise NotImplementedError("its weights are sparse in an order or in blocks unknown here")
    places = np.zeros(1, np.int64)
    for axis, size in zip(sparsity.tables(2), shape, strict=True):
        if axis.integer(0, "b"):
            segments, kept = _sparse_vector(axis, 2), _sparse_vector(axis, 4)
            places = np.repeat(places * size, np.diff(segments)) + kept
        else:
            places = (places[:, None] * size + np.arange(size)).reshape(-1)
    dense = np.zeros(int(np.prod(shape)), values.dtype)
    dense[places] = values[: len(places)]
    return dense.reshape(shape)


def _sparse_vector(axis: FlatTable, number: int) -> np.ndarray:
    dtype = {1: "<i4", 2: "<u2", 3: "|u1"}[axis.integer(number, "b")]
    return axis.table(number + 1).vector(0, dtype).astype(np.int64)
