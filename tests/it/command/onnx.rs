//! Tiny ONNX models, written byte by byte: what no real model in the repository does.
//!
//! Field numbers are those of `onnx.proto` (<https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>).

/// A model of one node `node` with operator `op`; its input `x` and output `y` are f32 of `shape`.
pub(super) fn one_node(op: &str, shape: &[u64]) -> Vec<u8> {
    let node = [bytes(1, b"x"), bytes(2, b"y"), bytes(3, b"node"), bytes(4, op.as_bytes())].concat();
    model(&[bytes(1, &node), bytes(11, &port("x", shape)), bytes(12, &port("y", shape))].concat())
}

/// A model that adds to its input `x` of one element a constant that `op` makes of the `sizes` in an initializer.
pub(super) fn from_sizes(op: &str, sizes: &[u64]) -> Vec<u8> {
    let made = [bytes(1, b"sizes"), bytes(2, b"made"), bytes(3, b"big"), bytes(4, op.as_bytes())].concat();
    let sum = [bytes(1, b"x"), bytes(1, b"made"), bytes(2, b"y"), bytes(3, b"sum"), bytes(4, b"Add")].concat();
    let data: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
    const INT64: u64 = 7;
    let stored = [number(1, sizes.len() as u64), number(2, INT64), bytes(8, b"sizes"), bytes(9, &data)].concat();
    let nodes = [bytes(1, &made), bytes(1, &sum), bytes(5, &stored)].concat();
    model(&[nodes, bytes(11, &port("x", &[1])), bytes(12, &port("y", sizes))].concat())
}

fn model(graph: &[u8]) -> Vec<u8> {
    let opset = [bytes(1, b""), number(2, 13)].concat();
    [number(1, 8), bytes(7, graph), bytes(8, &opset)].concat()
}

fn port(name: &str, shape: &[u64]) -> Vec<u8> {
    const FLOAT: u64 = 1;
    let sizes: Vec<u8> = shape.iter().flat_map(|size| bytes(1, &number(1, *size))).collect();
    let tensor = bytes(1, &[number(1, FLOAT), bytes(2, &sizes)].concat());
    [bytes(1, name.as_bytes()), bytes(2, &tensor)].concat()
}

/// A field that holds bytes: a text or a message.
fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

/// A field that holds an integer.
fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn varint(mut value: u64) -> Vec<u8> {
    let mut written = Vec::new();
    while value > 0x7f {
        written.push(value as u8 | 0x80);
        value >>= 7;
    }
    written.push(value as u8);
    written
}
