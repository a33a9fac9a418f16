// As many bytes as a device can read: each thread sums 16 fours, side by side with its neighbours.
//
//   in0         what is read, in fours
//   len pitch   threads; threads along x

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let o = id.x + id.y * p.pitch;
  var sum = vec4<f32>();
  for (var turn = 0u; turn < 16u; turn++) {
    sum += in0[o + turn * p.len];
  }
  if o < p.len {
    finish(o, 0u, sum.x + sum.y + sum.z + sum.w);
  }
}
