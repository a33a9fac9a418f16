// Element-wise: each thread makes one element of the output.
//
// Everything is in `finish`: it reads the same element of each operand, wherever it lies, and stores the result. So this
// is also what copies, moves axes, repeats and joins.
//
//   len     elements
//   pitch   threads along x: beyond what one dimension of a dispatch may have, y goes on

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let o = id.x + id.y * p.pitch;
  if o < p.len {
    finish(o, 0u, 0.0);
  }
}
