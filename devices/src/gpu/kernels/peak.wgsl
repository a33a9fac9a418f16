// As many multiply-adds as a device can do: eight chains of fours in each thread, none of which waits for another.
//
//   len pitch   threads; threads along x
//   TURNS       multiply-adds of each chain

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let o = id.x + id.y * p.pitch;
  let by = vec4(f32(o) * 1e-9);
  var a = by;
  var b = by + 1.0;
  var c = by + 2.0;
  var d = by + 3.0;
  var e = by + 4.0;
  var f = by + 5.0;
  var g = by + 6.0;
  var h = by + 7.0;
  for (var turn = 0u; turn < TURNS; turn++) {
    a = fma(a, by, by);
    b = fma(b, by, by);
    c = fma(c, by, by);
    d = fma(d, by, by);
    e = fma(e, by, by);
    f = fma(f, by, by);
    g = fma(g, by, by);
    h = fma(h, by, by);
  }
  let all = a + b + c + d + e + f + g + h;
  if o < p.len {
    finish(o, 0u, all.x + all.y + all.z + all.w);
  }
}
