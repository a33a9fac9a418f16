// Product of a matrix and vectors: 64 threads make one element of the output.
//
//   in0   matrix [batch, m, k], k in one piece
//   in1   vector [batch, k]
//   out   [batch, m]
//
//   len pitch m k                   elements; workgroups along x; rows and columns of the matrix
//   matrix vector                   where they begin
//   matrix_stride vector_stride     from one of the batch to the next

var<workgroup> partial: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let o = group.x + group.y * p.pitch;
  let line = min(o, p.len - 1u);
  let row = p.matrix + line / p.m * p.matrix_stride + line % p.m * p.row_stride;
  let vector = p.vector + line / p.m * p.vector_stride;
  var sum = 0.0;
  for (var k = thread; k < p.steps; k += 64u) {
    //{multiply}
  }
  partial[thread] = sum;
  for (var half = 32u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if thread < half {
      partial[thread] += partial[thread + half];
    }
  }
  if thread == 0u && o < p.len {
    finish(o, 0u, partial[0]);
  }
}
