"""The operations of the executor, each against a case worked out by hand or by torch itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from au_adapter.faces.executor import TFLiteNetwork
from au_adapter.faces.tflite import Operation, TFLiteGraph

STRIDED = {"stride_x": 2, "stride_y": 2, "dilation_x": 1, "dilation_y": 1, "padding": 0}


def _run(
    name: str, x: Tensor, *constants: list | np.ndarray, shape: tuple = (1,), **options: int
) -> Tensor:
    """One operation on x and constants."""
    numbered = {i + 1: np.asarray(constant) for i, constant in enumerate(constants)}
    for i, constant in numbered.items():
        numbered[i] = constant.astype("f4") if constant.dtype.kind == "f" else constant
    out = len(numbered) + 1
    step = Operation(name, tuple(range(out)), (out,), options)
    graph = TFLiteGraph([step], numbered, {0: tuple(x.shape), out: shape}, (0,), (out,))
    return TFLiteNetwork(graph)(x)[0]


def test_same_padding_goes_right_and_below() -> None:
    """Kernel 3, stride 2 on 4 pixels: two places, the window of the second hangs over."""
    x = torch.arange(1.0, 17).reshape(1, 4, 4, 1)
    weight, bias = np.ones((1, 3, 3, 1)), np.zeros(1)
    y = _run("conv_2d", x, weight, bias, **STRIDED)
    assert y[0, :, :, 0].tolist() == [[54.0, 45.0], [72.0, 54.0]]
    y = _run("conv_2d", x, weight, bias, **(STRIDED | {"padding": 1}))
    assert y[0, :, :, 0].tolist() == [[54.0]]


def test_same_padding_goes_around_at_stride_1() -> None:
    x = torch.ones(1, 3, 3, 1)
    options = STRIDED | {"stride_x": 1, "stride_y": 1}
    y = _run("conv_2d", x, np.ones((1, 3, 3, 1)), np.zeros(1), **options)
    assert y[0, :, :, 0].tolist() == [[4, 6, 4], [6, 9, 6], [4, 6, 4]]


def test_depthwise_keeps_channels_apart_and_activates() -> None:
    x = torch.tensor([1.0, 1.0, 1.0]).expand(1, 2, 2, 3)
    weight = np.array([1.0, -1.0, 9.0]).reshape(1, 1, 1, 3)
    options = STRIDED | {"stride_x": 1, "stride_y": 1, "activation": 3}
    y = _run("depthwise_conv_2d", x, weight, np.zeros(3), **options)
    assert y[0, 0, 0].tolist() == [1, 0, 6]


def test_depth_to_space() -> None:
    x = torch.arange(8.0).reshape(1, 1, 2, 4)
    y = _run("depth_to_space", x, block=2)
    assert y[0, :, :, 0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]


def test_the_transposed_convolution_tiles() -> None:
    x = torch.tensor([[1.0, 2.0]]).reshape(1, 1, 2, 1)
    weight = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    y = _run("Convolution2DTransposeBias", x, weight, np.array([0.5]), stride_x=2, stride_y=2)
    assert y[0, :, :, 0].tolist() == [[1.5, 2.5, 2.5, 4.5], [3.5, 4.5, 6.5, 8.5]]


def test_pad_concatenate_and_reshape_leave_the_batch_alone() -> None:
    x = torch.arange(6.0).reshape(2, 1, 1, 3)
    padded = _run("pad", x, [[0, 0], [1, 0], [0, 1], [0, 2]])
    assert padded.shape == (2, 2, 2, 5) and padded[1, 1, 0].tolist() == [3, 4, 5, 0, 0]
    joined = _run("concatenation", x, np.array([[[[7.0, 8.0, 9.0]]]]), axis=-2)
    assert joined[:, 0, :, 0].tolist() == [[0, 7], [3, 7]]
    assert _run("reshape", x, [1, 3], shape=(1, 3)).shape == (2, 3)


def test_a_slice_ends_where_its_masks_say() -> None:
    x = torch.arange(24.0).reshape(2, 3, 4)
    masks = {"begin_mask": 0b001, "end_mask": 0b101, "shrink_axis_mask": 0}
    y = _run("strided_slice", x, [9, 0, 1], [0, 2, 0], [1, 1, 2], **masks)
    assert torch.equal(y, x[:, 0:2, 1::2])
    masks = {"begin_mask": 0, "end_mask": 0, "shrink_axis_mask": 0b011}
    y = _run("strided_slice", x, [0, 1, 0], [1, 2, 4], [1, 1, 1], **masks)
    assert torch.equal(y, x[:, 1, 0:4])  # the first axis holds the pictures: never shrunk


@pytest.mark.parametrize("keep", [0, 1])
def test_reductions(keep: int) -> None:
    x = torch.rand(2, 3, 4)
    assert torch.equal(_run("mean", x, [-2], keep_axes=keep), x.mean(1, keepdim=bool(keep)))
    assert torch.equal(_run("sum", x, [2], keep_axes=keep), x.sum(2, keepdim=bool(keep)))


def test_pools_and_functions() -> None:
    x = torch.tensor([[-4.0, -1.0], [1.0, 4.0]]).reshape(1, 2, 2, 1)
    pool = {"padding": 1, "stride_x": 2, "stride_y": 2, "width": 2, "height": 2}
    assert _run("max_pool_2d", x, **pool).item() == 4
    assert _run("average_pool_2d", x, **pool).item() == 0
    expected = {"relu": [0, 0, 1, 4], "neg": [4, 1, -1, -4], "hard_swish": [0, -1 / 3, 2 / 3, 4]}
    for name, values in expected.items():
        assert _run(name, x).flatten().tolist() == pytest.approx(values)
    assert _run("prelu", x, np.array([[[0.25]]])).flatten().tolist() == [-1, -0.25, 1, 4]
    assert _run("squared_difference", x, np.array([1.0])).flatten().tolist() == [25, 4, 0, 9]


def test_what_is_not_supported_says_so() -> None:
    x = torch.zeros(1, 3, 3, 1)
    pool = {"padding": 0, "stride_x": 2, "stride_y": 2, "width": 2, "height": 2}
    with pytest.raises(NotImplementedError, match="pooling over a border"):
        _run("max_pool_2d", x, **pool)
    with pytest.raises(NotImplementedError, match="from corner to corner"):
        _run("resize_bilinear", x, [6, 6], half_pixel_centers=0)
