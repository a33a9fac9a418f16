//! Sums over axes of two operands: as products of matrices, or as convolutions with a window of one.

use tract_onnx::tract_hir::internal::{DatumType, OutletId, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;

use super::super::onnx;
use super::cast::computed;
use super::{Either, Lowering, Why};

impl Lowering<'_> {
    pub(super) fn einsum(&mut self, node: &TypedNode, op: &EinSum) -> Result<(), Why> {
        let shapes = [self.shape(node.inputs[0])?, self.shape(node.inputs[1])?];
        if op.q_params.is_some() {
            return self.integer_product(node, op, shapes);
        }
        if op.axes.input_count() != 2 || op.axes.output_count() != 1 {
            return Err(format!("it has {} operands", op.axes.input_count()));
        }
        let axes = Axes::of(op, &shapes)?;
        let computed = computed(self.datum(node.inputs[0])?)?;
        if computed == DatumType::F32
            && let Some(one) = axes.as_convolution(&shapes)
            && let Some(kernel) = self.constant(node.inputs[one.weights])
        {
            let kernel = kernel.cast_to_dt(computed).and_then(|kernel| {
                kernel.into_owned().permute_axes(&one.order)?.into_shape(&[one.outputs, one.inputs, 1, 1])
            });
            let kernel = self.hold(&kernel.map_err(|cause| cause.to_string())?)?;
            let image = node.inputs[1 - one.weights];
            let lead = usize::from(!one.batched);
            let value = if one.batched { self.plain(image)? } else { self.led(image)? };
            let value = self.cast_value(value, self.datum(image)?, computed)?;
            let name = self.add("Conv", &[value, kernel], vec![onnx::ints("kernel_shape", [1, 1])]);
            return self.set_computed(node, Either { name, lead }, computed);
        }
        let order = if axes.right_first() { [1, 0] } else { [0, 1] };
        let left = self.factor(node.inputs[order[0]], &axes, order[0], computed, false)?;
        let right = self.factor(node.inputs[order[1]], &axes, order[1], computed, true)?;
        let product = self.add("MatMul", &[left, right], Vec::new());
        self.unfolded(node, &axes, order, product, computed)
    }

    /// Of integers of 8 bits, which are summed in 32.
    fn integer_product(&mut self, node: &TypedNode, op: &EinSum, shapes: [Vec<usize>; 2]) -> Result<(), Why> {
        if op.q_params != Some(DatumType::I32) || node.inputs.len() != 9 {
            return Err(format!("it is quantised to {:?}", op.q_params));
        }
        let axes = Axes::of(op, &shapes)?;
        for place in [3, 5, 2] {
            if self.shape(node.inputs[place])?.iter().product::<usize>() != 1 {
                return Err("it has a zero point, or a bias, for each row".to_owned());
            }
        }
        let kinds = [self.datum(node.inputs[0])?, self.datum(node.inputs[1])?];
        let zeros = [self.one_zero(node.inputs[3], kinds[0])?, self.one_zero(node.inputs[5], kinds[1])?];
        let left = self.factor(node.inputs[0], &axes, 0, kinds[0], false)?;
        let right = self.factor(node.inputs[1], &axes, 1, kinds[1], true)?;
        let [left_zero, right_zero] = zeros;
        let mut product = self.add("MatMulInteger", &[left, right, left_zero, right_zero], Vec::new());
        let no_bias = self.constant(node.inputs[2]).is_some_and(|bias| bias.is_zero().unwrap_or(false));
        if !no_bias {
            let bias = self.in_type(node.inputs[2], DatumType::I32)?;
            let bias = self.reshaped(bias, &[])?;
            product = self.add("Add", &[product, bias], Vec::new());
        }
        self.unfolded(node, &axes, [0, 1], product, DatumType::I32)
    }

    fn one_zero(&mut self, outlet: OutletId, of: DatumType) -> Result<String, Why> {
        let zero = self.zero_point(outlet, of)?;
        if self.shape(outlet)?.is_empty() { Ok(zero) } else { self.reshaped(zero, &[]) }
    }

    /// An operand as matrices: an axis for each that both and the result have, then rows and columns.
    fn factor(
        &mut self,
        outlet: OutletId,
        axes: &Axes,
        operand: usize,
        to: DatumType,
        is_right: bool,
    ) -> Result<String, Why> {
        let mut value = self.in_type(outlet, to)?;
        let (batch, own, summed) = (axes.batch(), axes.own(operand), axes.summed());
        let alone = axes.alone(operand);
        if !alone.is_empty() {
            let places = self.numbers(alone.iter().filter_map(|id| axes.inputs[operand][*id]))?;
            value = self.add("ReduceSum", &[value, places], Vec::new());
        }
        let (rows, columns) = if is_right { (&summed, &own) } else { (&own, &summed) };
        let ids = || batch.iter().chain(rows).chain(columns).copied().filter(|id| axes.inputs[operand][*id].is_some());
        let order: Vec<usize> = ids().chain(alone.iter().copied()).filter_map(|id| axes.inputs[operand][id]).collect();
        // A summed axis of 1 beside a longer one repeats.
        if summed.iter().any(|id| axes.own_sizes[operand][*id] != axes.sizes[*id]) {
            let mut shape = vec![1; order.len()];
            for id in 0..axes.sizes.len() {
                if let Some(place) = axes.inputs[operand][id] {
                    let repeats = summed.contains(&id);
                    shape[place] = if repeats { axes.sizes[id] } else { axes.own_sizes[operand][id] };
                }
            }
            let shape = self.numbers(shape)?;
            value = self.add("Expand", &[value, shape], Vec::new());
        }
        value = self.transposed(value, &order);
        let size = |ids: &[usize]| ids.iter().map(|id| axes.sizes[*id]).product::<usize>();
        let shape: Vec<usize> =
            batch.iter().map(|id| axes.own_sizes[operand][*id]).chain([size(rows), size(columns)]).collect();
        let lies: Vec<usize> = ids().map(|id| axes.sizes[id]).collect();
        if alone.is_empty() && lies == shape && batch.iter().all(|id| axes.own_sizes[operand][*id] == axes.sizes[*id]) {
            return Ok(value);
        }
        self.reshaped(value, &shape)
    }

    /// The result's axes out of batch, rows and columns.
    fn unfolded(
        &mut self,
        node: &TypedNode,
        axes: &Axes,
        order: [usize; 2],
        product: String,
        computed: DatumType,
    ) -> Result<(), Why> {
        let own = axes.own(order[0]).into_iter().chain(axes.own(order[1]));
        let ids: Vec<usize> = axes.batch().into_iter().chain(own).chain(axes.of_neither()).collect();
        let sizes: Vec<usize> = ids.iter().map(|id| axes.sizes[*id]).collect();
        let product = self.reshaped(product, &sizes)?;
        let mut back = vec![0; ids.len()];
        for (at, id) in ids.iter().enumerate() {
            let place = axes.output[*id].ok_or("an axis of the result is summed")?;
            *back.get_mut(place).ok_or("an axis of the result comes from nowhere")? = at;
        }
        let name = self.transposed(product, &back);
        self.set_computed(node, Either { name, lead: 0 }, computed)
    }
}

/// The axes of a sum.
struct Axes {
    sizes: Vec<usize>,
    /// Place in each operand; none where it lacks the axis.
    inputs: [Vec<Option<usize>>; 2],
    /// Sizes in each operand, which may be 1 beside a longer one.
    own_sizes: [Vec<usize>; 2],
    /// Place in the result; none where it is summed.
    output: Vec<Option<usize>>,
}

/// A sum that is a convolution with a window of one over an image.
struct One {
    /// Which operand is the kernel.
    weights: usize,
    /// Its axes: of output channels, of input channels, all others, which are 1 long.
    order: Vec<usize>,
    outputs: usize,
    inputs: usize,
    batched: bool,
}

impl Axes {
    fn of(op: &EinSum, shapes: &[Vec<usize>; 2]) -> Result<Self, Why> {
        let mut axes = Self {
            sizes: Vec::new(),
            inputs: [Vec::new(), Vec::new()],
            own_sizes: [Vec::new(), Vec::new()],
            output: Vec::new(),
        };
        for axis in op.axes.iter_all_axes() {
            let twice = axis.inputs[..2].iter().any(|places| places.len() > 1) || axis.outputs[0].len() > 1;
            if twice {
                return Err(format!("its axis {} comes twice", axis.repr));
            }
            let found = [0, 1].map(|operand: usize| axis.inputs[operand].first().copied());
            let output = axis.outputs[0].first().copied();
            if found == [None, None] && output.is_none() {
                continue;
            }
            let own = [0, 1].map(|operand: usize| found[operand].map_or(1, |place| shapes[operand][place]));
            let longer = own[0].max(own[1]);
            axes.sizes.push(if own.contains(&0) { 0 } else { longer });
            for operand in [0, 1] {
                axes.inputs[operand].push(found[operand]);
                axes.own_sizes[operand].push(own[operand]);
            }
            axes.output.push(output);
        }
        Ok(axes)
    }

    fn ids(&self, wanted: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut ids: Vec<usize> = (0..self.sizes.len()).filter(|id| wanted(*id)).collect();
        ids.sort_by_key(|id| self.output[*id]);
        ids
    }

    fn has(&self, operand: usize, id: usize) -> bool {
        self.inputs[operand][id].is_some()
    }

    /// Of both operands and the result, in the result's order.
    fn batch(&self) -> Vec<usize> {
        self.ids(|id| self.has(0, id) && self.has(1, id) && self.output[id].is_some())
    }

    /// Of one operand and the result, in the result's order.
    fn own(&self, operand: usize) -> Vec<usize> {
        self.ids(|id| self.has(operand, id) && !self.has(1 - operand, id) && self.output[id].is_some())
    }

    /// Of both operands alone.
    fn summed(&self) -> Vec<usize> {
        self.ids(|id| self.has(0, id) && self.has(1, id) && self.output[id].is_none())
    }

    /// Of one operand alone.
    fn alone(&self, operand: usize) -> Vec<usize> {
        self.ids(|id| self.has(operand, id) && !self.has(1 - operand, id) && self.output[id].is_none())
    }

    /// Of the result alone: they are 1 long.
    fn of_neither(&self) -> Vec<usize> {
        self.ids(|id| !self.has(0, id) && !self.has(1, id) && self.output[id].is_some())
    }

    /// Whether an axis of the first operand alone comes last in the result.
    fn right_first(&self) -> bool {
        let last = |operand: usize| {
            self.own(operand).into_iter().filter(|id| self.sizes[*id] > 1).filter_map(|id| self.output[id]).max()
        };
        last(0) > last(1)
    }

    /// As a convolution: a kernel of two axes, and an image of channels, height and width, with or without a batch.
    fn as_convolution(&self, shapes: &[Vec<usize>; 2]) -> Option<One> {
        [0, 1].into_iter().find_map(|weights| {
            let image = 1 - weights;
            let (rank, last) = (shapes[image].len(), shapes[image].len().checked_sub(3)?);
            // Each axis of the image but its channels is at the same place in the result.
            let stays = |place: usize| {
                (0..self.sizes.len()).find(|id| {
                    self.inputs[image][*id] == Some(place)
                        && self.output[*id] == Some(place)
                        && (!self.has(weights, *id) || self.own_sizes[weights][*id] == 1)
                })
            };
            let at = |place: usize| (0..self.sizes.len()).find(|id| self.inputs[image][*id] == Some(place));
            let input = at(last).filter(|id| self.output[*id].is_none() && self.has(weights, *id))?;
            let output = (0..self.sizes.len())
                .find(|id| self.output[*id] == Some(last) && !self.has(image, *id) && self.has(weights, *id))?;
            let others_stay = (0..rank).filter(|place| *place != last).all(|place| stays(place).is_some());
            let same = self.own_sizes[0][input] == self.own_sizes[1][input];
            let kernel = [self.inputs[weights][output]?, self.inputs[weights][input]?];
            let rest: Vec<usize> = (0..shapes[weights].len()).filter(|place| !kernel.contains(place)).collect();
            let fits = rank <= 4
                && same
                && others_stay
                && self.output.iter().flatten().count() == rank
                && rest.iter().all(|place| shapes[weights][*place] == 1)
                && !shapes[image].contains(&0);
            fits.then(|| One {
                weights,
                order: kernel.into_iter().chain(rest).collect(),
                outputs: self.sizes[output],
                inputs: self.sizes[input],
                batched: rank == 4,
            })
        })
    }
}
