// Product of matrices, and convolutions as such: a workgroup makes a tile of BM by BN elements of the output, each thread
// 16 to 64 of them, from tiles of both operands that lie in workgroup memory.
//
//   in0   left operand: [batch, k, m4] in fours along m where it is packed, else by strides
//   in1   right operand [batch, k, n]: by strides, or made of an image while it is read
//   out   [batch, m, n]
//
//   BM BN BK THREADS   the tile, and threads of a workgroup
//   TX AW              threads along n; fours of a row of the left tile in workgroup memory
//   m n k              sizes
//   chunk              how much of k a workgroup does; further ones along z do the rest
//   batch              matrices
//
// Tiles are read for the next turn while this one's are multiplied.

var<workgroup> tile_a: array<vec4<f32>, BK * AW>;
var<workgroup> tile_b: array<vec4<f32>, BK * BN / 4u>;

fn left_base(batch: u32) -> u32 {
  return //{left_base};
}

fn right_base(batch: u32) -> u32 {
  return //{right_base};
}

//{functions}

fn put(row: u32, n: u32, made: f32) {
  finish(row * p.n + n, row, made);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let batch = group.z % p.batch;
  let first = group.z / p.batch * p.chunk;
  let end = min(first + p.chunk, p.k);
  let m0 = group.y * BM;
  let n0 = group.x * BN;
  let tx = thread % TX;
  let ty = thread / TX;
  let a0 = left_base(batch);
  let b0 = right_base(batch);
  //{prepare}
  //{accumulators}
  var k0 = first;
  //{fetch}
  loop {
    //{keep}
    workgroupBarrier();
    k0 += BK;
    if k0 < end {
      //{fetch}
    }
    //{multiply}
    if k0 >= end {
      break;
    }
    workgroupBarrier();
  }
  let line = group.z * p.m;
  //{store}
}
