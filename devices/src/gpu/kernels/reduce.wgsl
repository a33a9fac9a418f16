// Reduction over any axes: LANES threads make one element of the output.
//
//   in0   input; element `line` of the output is made of in0[base(line) + inner(r)] for r in 0..count
//
//   LANES GROUP  threads an element, and a workgroup: many short reductions, or few long ones
//   len pitch  elements; workgroups along x
//   count      elements of the input for each

var<workgroup> partial: array<f32, GROUP>;

fn base(line: u32) -> u32 {
  return //{base};
}

fn inner(r: u32) -> u32 {
  return //{inner};
}

fn join(a: f32, b: f32) -> f32 {
  return //{join};
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let lane = thread % LANES;
  let o = (group.x + group.y * p.pitch) * (GROUP / LANES) + thread / LANES;
  var sum: f32 = //{start};
  if o < p.len {
    let origin = base(o);
    for (var r = lane; r < p.count; r += LANES) {
      let value = in0[origin + inner(r)];
      sum = join(sum, //{value});
    }
  }
  if LANES > 1u {
    partial[thread] = sum;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
      workgroupBarrier();
      if lane < half {
        partial[thread] = join(partial[thread], partial[thread + half]);
      }
    }
    sum = partial[thread];
  }
  if o < p.len && lane == 0u {
    finish(o, 0u, sum //{scale});
  }
}
