from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from esper.blueprints.build import build
from esper.blueprints.geometry import Geometry
from esper.blueprints.ir import GraphIR, Node
from esper.blueprints.tensor_spec import TensorSpec
from esper.contracts.enums import KernelMode, Layout
from esper.contracts.errors import KernelMismatchError
from esper.contracts.version import VERSION
from esper.execution.artifact import KernelArtifact, pack, unpack
from esper.execution.compatibility import check_compatible
from esper.execution.conversion import convert
from esper.execution.kasmina_layer import KasminaLayer
from kernels import kernel_file

KERNEL = unpack(kernel_file())  # (4) to (4)


def layer(**changes: Any) -> KasminaLayer:
    facts: dict[str, Any] = {
        "host": "linear", "layout": Layout.FLAT, "input_shape": (4,), "output_shape": (4,),
    }  # fmt: skip
    return convert(nn.Linear(4, 4), name="fc", geometry=Geometry(**(facts | changes)))


def written_by(version: str) -> KernelArtifact:
    return replace(KERNEL, metadata=KERNEL.metadata.model_copy(update={"esper_version": version}))


def test_a_kernel_that_fits_passes() -> None:
    check_compatible(KERNEL, layer())
    check_compatible(KERNEL, layer(), host="linear")
    check_compatible(KERNEL, convert(nn.Linear(9, 9)))  # nothing is known of this layer


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"input_shape": (5,)}, r"samples of shape \(4,\), the layer reads \(5,\)"),
        ({"output_shape": (3,)}, r"returns samples of shape \(4,\), the layer \(3,\)"),
        ({"layout": Layout.TOKENS, "input_shape": (None, 6)}, r"the layer reads \(None, 6\)"),
        ({"layout": Layout.IDS, "input_shape": ()}, "takes float32, the layer reads ids"),
    ],
)
def test_a_kernel_of_another_shape_or_kind_is_refused_in_words(
    changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(KernelMismatchError, match=says) as refused:
        check_compatible(KERNEL, layer(**changes))
    assert "layer 'fc'" in str(refused.value)
    assert KERNEL.kernel_id in str(refused.value)


def test_a_kernel_of_the_last_axes_may_stand_under_further_ones() -> None:
    tokens = {"layout": Layout.TOKENS, "input_shape": (None, 4), "output_shape": (None, 4)}
    check_compatible(KERNEL, layer(**tokens))


def test_an_example_settles_an_axis_that_the_layer_leaves_open() -> None:
    graph = GraphIR(
        {"x": TensorSpec((2, 8))},
        (Node("conv", "conv1d", ("x",), {"out_channels": 2, "kernel_size": 1}),),
        {"y": "conv"},
    )
    data = pack(build(graph, seed=0), graph, KernelMode.RESIDUAL, blueprint="fixed")
    shapes = {"layout": Layout.CHANNELS_1D, "input_shape": (2, None), "output_shape": (2, None)}
    check_compatible(unpack(data), layer(**shapes))
    check_compatible(unpack(data), layer(**shapes, example_shape=(2, 8)))
    with pytest.raises(KernelMismatchError, match=r"\(2, 8\)"):
        check_compatible(unpack(data), layer(**shapes, example_shape=(2, 9)))


def test_a_kernel_over_ids_is_refused_by_a_layer_over_numbers() -> None:
    graph = GraphIR(
        {"x": TensorSpec((4,), "int64")},
        (Node("table", "embedding", ("x",), {"num_embeddings": 5, "embedding_dim": 4}),),
        {"y": "table"},
    )
    data = pack(build(graph, seed=0), graph, KernelMode.RESIDUAL, blueprint="ids")
    with pytest.raises(KernelMismatchError, match="takes int64"):
        check_compatible(unpack(data), layer())


def test_a_kernel_made_for_another_host_is_refused() -> None:
    with pytest.raises(KernelMismatchError, match="'conv2d', this is 'linear'"):
        check_compatible(KERNEL, layer(), host="conv2d")


@pytest.mark.parametrize("version", [VERSION, "0.1.9", "0.0.1"])
def test_a_kernel_of_this_version_or_an_older_one_passes(version: str) -> None:
    check_compatible(written_by(version), layer())


@pytest.mark.parametrize("version", ["0.99.0", "1.0.0", "7.1"])
def test_a_kernel_of_a_later_version_asks_for_an_update(version: str) -> None:
    with pytest.raises(KernelMismatchError, match=f"{version}, this is .*update Esper"):
        check_compatible(written_by(version), layer())


@pytest.mark.parametrize("version", ["", "new", "1", "99999999999999999999.0"])
def test_a_version_that_is_none_is_refused(version: str) -> None:
    with pytest.raises(KernelMismatchError, match="no version"):
        check_compatible(written_by(version), layer())


def test_a_kernel_without_values_is_refused() -> None:
    with pytest.raises(KernelMismatchError, match="no values"):
        check_compatible(KERNEL.to("meta"), layer())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_kernel_on_another_device_is_refused() -> None:
    with pytest.raises(KernelMismatchError, match="load it for that device"):
        check_compatible(KERNEL.to("cuda"), layer())
