// Depthwise convolution: each thread makes one element of the output from one channel of the input.
//
//   in0   weights [channels, KH, KW]
//   in1   input   [batch, channels / MULTIPLIER, height, width], a channel in one piece
//   out   [batch, channels, rows, columns]
//
//   KH KW SH SW DH DW MULTIPLIER        window, strides, dilations, output channels of an input channel
//   len pitch channels                  elements; threads along x; output channels
//   height width rows columns           sizes of the input and of the output
//   top left                            padding
//   offset batch_stride channel_stride  where an image and a channel of the input begin

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let o = id.x + id.y * p.pitch;
  if o >= p.len {
    return;
  }
  let x = o % p.columns;
  let row = o / p.columns;
  let plane = row / p.rows;
  let channel = plane % p.channels;
  let left = i32(x * SW) - i32(p.left);
  let top = i32((row % p.rows) * SH) - i32(p.top);
  let input = p.offset + plane / p.channels * p.batch_stride + channel / MULTIPLIER * p.channel_stride;
  let weights = channel * (KH * KW);
  var sum = 0.0;
  //{taps}
  finish(o, plane, sum);
}
