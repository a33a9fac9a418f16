// Pooling: each thread makes one element of the output from a window of one channel.
//
//   in0   input [planes, height, width], a plane in one piece; planes are images times channels
//   out   [planes, rows, columns]
//
//   KH KW SH SW DH DW MAX              window, strides, dilations; 1 for the largest element, 0 for the sum
//   COUNT                              the sum is divided: 0 not at all, 1 by the window, 2 by what of it is inside
//   len pitch channels                 elements; threads along x
//   height width rows columns top left sizes and padding
//   offset batch_stride channel_stride where an image and a channel of the input begin

const LOWEST = -0x1.fffffep127f;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let o = id.x + id.y * p.pitch;
  if o >= p.len {
    return;
  }
  let row = o / p.columns;
  let plane = row / p.rows;
  let left = i32((o % p.columns) * SW) - i32(p.left);
  let top = i32((row % p.rows) * SH) - i32(p.top);
  let input = p.offset + plane / p.channels * p.batch_stride + plane % p.channels * p.channel_stride;
  var sum = 0.0;
  var most = LOWEST;
  var inside = 0.0;
  for (var ky = 0u; ky < KH; ky++) {
    let y = top + i32(ky * DH);
    if y < 0 || y >= i32(p.height) {
      continue;
    }
    for (var kx = 0u; kx < KW; kx++) {
      let x = left + i32(kx * DW);
      if x < 0 || x >= i32(p.width) {
        continue;
      }
      let value = in0[input + u32(y) * p.width + u32(x)];
      sum += value;
      most = max(most, value);
      inside += 1.0;
    }
  }
  if MAX == 1u {
    finish(o, plane, most);
  } else if COUNT == 0u {
    finish(o, plane, sum);
  } else if COUNT == 1u {
    finish(o, plane, sum / f32(KH * KW));
  } else {
    finish(o, plane, sum / max(inside, 1.0));
  }
}
