"""Writes a network of MobileNetV2's shape for the bench `cpu`, with the packages onnx and numpy:

    python3 mobilenet_v2.py FILE.onnx [SiLU | HardSwish]

The layers are those of table 2 of Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018), for 224x224,
with normalisation folded into convolutions, and with ReLU6 unless another activation is named. Its weights are random: it tells
how long such a network takes, and nothing else.
"""

import sys

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

# Expansion, output channels, blocks, and the stride of the first of them.
BLOCKS = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]

numbers = numpy.random.default_rng(1)
nodes, constants = [], []


def constant(name, values):
    constants.append(numpy_helper.from_array(values.astype(numpy.float32), name))
    return name


def add(op, *inputs, **attributes):
    made = f"{op}_{len(nodes)}"
    nodes.append(helper.make_node(op, inputs, [made], name=made, **attributes))
    return made


def activated(made):
    match sys.argv[2:]:
        case ["SiLU"]:
            return add("Mul", made, add("Sigmoid", made))
        case ["HardSwish"]:
            return add("HardSwish", made)
        case []:
            return add("Clip", made, "zero", "six")
    sys.exit(f"{sys.argv[2:]}: SiLU or HardSwish")


def convolved(image, channels, size=1, stride=1, groups=1, is_activated=True):
    inputs, outputs = channels
    seen = inputs // groups * size * size
    weights = numbers.standard_normal((outputs, inputs // groups, size, size)) * (2 / seen) ** 0.5
    name = f"weights_{len(nodes)}"
    operands = [image, constant(name, weights), constant(f"{name}.bias", numbers.standard_normal(outputs) / 10)]
    made = add("Conv", *operands, strides=[stride] * 2, pads=[size // 2] * 4, group=groups, kernel_shape=[size] * 2)
    return activated(made) if is_activated else made


constant("zero", numpy.array(0))
constant("six", numpy.array(6))
image, channels = convolved("image", (3, 32), size=3, stride=2), 32
for expansion, outputs, count, stride in BLOCKS:
    for number in range(count):
        step, wide = stride if number == 0 else 1, channels * expansion
        made = convolved(image, (channels, wide)) if expansion > 1 else image
        made = convolved(made, (wide, wide), size=3, stride=step, groups=wide)
        made = convolved(made, (wide, outputs), is_activated=False)
        image, channels = add("Add", image, made) if step == 1 and channels == outputs else made, outputs
image = add("GlobalAveragePool", convolved(image, (channels, 1280)))
weights = constant("classes", numbers.standard_normal((1280, 1000)) / 36)
add("Gemm", add("Flatten", image), weights, constant("classes.bias", numpy.zeros(1000)))

value = helper.make_tensor_value_info
ends = [value("image", TensorProto.FLOAT, [1, 3, 224, 224])], [value(nodes[-1].output[0], TensorProto.FLOAT, [1, 1000])]
graph = helper.make_graph(nodes, "mobilenet_v2", *ends, constants)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
onnx.checker.check_model(model)
onnx.save(model, sys.argv[1])
