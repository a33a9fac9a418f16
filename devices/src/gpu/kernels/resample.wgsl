// Resizing along one axis: each thread makes one element of the output from some of that axis.
//
//   in0   input [outer, before, inner], in one piece
//   in1   which elements of the axis make each of the output's [to, TAPS]
//   in2   their weights [to, TAPS]
//   out   [outer, to, inner]
//
//   TAPS                           elements that make one
//   len pitch before to inner      elements; threads along x; sizes
//   offset                         where the input begins

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let o = id.x + id.y * p.pitch;
  if o >= p.len {
    return;
  }
  let line = o / p.inner;
  let first = line % p.to * TAPS;
  let input = p.offset + line / p.to * p.before * p.inner + o % p.inner;
  var sum = 0.0;
  for (var tap = 0u; tap < TAPS; tap++) {
    let weight = in2[first + tap];
    // A weight of nothing does not make a number of what is none.
    if weight != 0.0 {
      sum = fma(weight, in0[input + u32(in1[first + tap]) * p.inner], sum);
    }
  }
  finish(o, line, sum);
}
