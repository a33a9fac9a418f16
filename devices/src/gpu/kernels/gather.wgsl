// Rows of a table by number: each thread makes one element of the output.
//
//   in0   table, the rows of which lie along one axis
//   in1   numbers of rows, below 0 from the end
//   out   [outer, numbers, inner]
//
//   len pitch count rows             elements; threads along x; numbers; rows of the table
//   inner                            elements of a row after its axis
//   outer_stride row_stride offset   of the table

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let o = id.x + id.y * p.pitch;
  if o >= p.len {
    return;
  }
  let line = o / p.inner;
  var number = in1[p.numbers_offset + line % p.count];
  if number < 0 {
    number += i32(p.rows);
  }
  let row = u32(clamp(number, 0, i32(p.rows) - 1));
  finish(o, line, in0[p.offset + line / p.count * p.outer_stride + row * p.row_stride + o % p.inner]);
}
