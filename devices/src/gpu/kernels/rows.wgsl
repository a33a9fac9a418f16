// Softmax, or normalisation by the root of the mean of squares, over any axes: 64 threads make one row of the output.
//
//   in0   input; element r of row `line` is in0[base(line) + inner(r)]
//   out   element r of it is number place_base(line) + place(r)
//
//   len pitch count   rows; workgroups along x; elements of a row

var<workgroup> partial: array<f32, 64>;

fn base(line: u32) -> u32 {
  return //{base};
}

fn inner(r: u32) -> u32 {
  return //{inner};
}

fn place_base(line: u32) -> u32 {
  return //{place_base};
}

fn place(r: u32) -> u32 {
  return //{place};
}

fn join(a: f32, b: f32, largest: bool) -> f32 {
  return select(a + b, max(a, b), largest);
}

// The sum of what all threads of the group have, or the largest of it.
fn of_all(thread: u32, own: f32, largest: bool) -> f32 {
  workgroupBarrier();
  partial[thread] = own;
  for (var half = 32u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if thread < half {
      partial[thread] = join(partial[thread], partial[thread + half], largest);
    }
  }
  workgroupBarrier();
  return partial[0];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let line = group.x + group.y * p.pitch;
  // The same for all threads of a group, so that all meet at each barrier; what lies beyond is not stored.
  let origin = base(min(line, p.len - 1u));
  //{body}
}
