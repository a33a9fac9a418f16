//! Pooling, and images that a window goes over.

use tract_onnx::prelude::TValue;
use tract_onnx::tract_hir::internal::{DatumType, IntoTensor as _, SessionId, Tensor, TurnState, TypedNode, tvec};
use tract_onnx::tract_hir::tract_core::internal::EvalOp as _;
use tract_onnx::tract_hir::tract_core::ops::cnn::{MaxPool, PoolSpec, SumPool};
use tract_onnx::tract_hir::tract_core::ops::nn::DataFormat;

use super::super::onnx;
use super::convolution::window;
use super::{Either, Lowering, Why};

impl Lowering<'_> {
    /// The image that a node reads, with an axis for the batch, in this type.
    pub(super) fn image(&mut self, node: &TypedNode, spec: &PoolSpec, to: DatumType) -> Result<String, Why> {
        let mut name = if spec.data_format.has_n() { self.plain(node.inputs[0])? } else { self.led(node.inputs[0])? };
        if spec.data_format.c_is_last() {
            let axes = spec.kernel_shape.len() + 2;
            let order: Vec<usize> = [0, axes - 1].into_iter().chain(1..axes - 1).collect();
            name = self.transposed(name, &order);
        }
        let datum = self.datum(node.inputs[0])?;
        self.cast_value(name, datum, to)
    }

    /// The image that a node makes.
    pub(super) fn set_image(
        &mut self,
        node: &TypedNode,
        spec: &PoolSpec,
        mut name: String,
        computed: DatumType,
    ) -> Result<(), Why> {
        if spec.data_format.c_is_last() {
            let order: Vec<usize> = [0].into_iter().chain(2..spec.kernel_shape.len() + 2).chain([1]).collect();
            name = self.transposed(name, &order);
        }
        let lead = usize::from(!spec.data_format.has_n());
        self.set_computed(node, Either { name, lead }, computed)
    }

    /// Height and width of what a node with a window reads, or its width alone.
    pub(super) fn image_sizes(&self, node: &TypedNode, spec: &PoolSpec) -> Result<Vec<usize>, Why> {
        let shape = self.shape(node.inputs[0])?;
        let first = spec.data_format.h_axis();
        let sizes = shape.get(first..first + spec.kernel_shape.len()).ok_or("its shape is too short")?;
        Ok(sizes.to_vec())
    }

    /// How far windows reach beyond the image, before and after it along each axis.
    pub(super) fn padding(&self, node: &TypedNode, spec: &PoolSpec) -> Result<Vec<[usize; 2]>, Why> {
        let sizes = self.image_sizes(node, spec)?;
        let computed = spec.computed_padding(&sizes);
        let axes = computed.iter().enumerate().map(|(axis, padding)| {
            let field = (spec.kernel_shape[axis] - 1) * spec.dilation(axis) + 1;
            let reach = padding.convoluted.saturating_sub(1) * spec.stride(axis) + field;
            [padding.pad_before, reach.saturating_sub(sizes[axis] + padding.pad_before)]
        });
        Ok(axes.collect())
    }

    pub(super) fn max_pool(&mut self, node: &TypedNode, op: &MaxPool) -> Result<(), Why> {
        if op.with_index_outputs.is_some() {
            return Err("it gives indices too".to_owned());
        }
        let datum = self.datum(node.inputs[0])?;
        let computed = match datum {
            DatumType::F64 | DatumType::I8 | DatumType::U8 => datum,
            _ => self.floats(node)?,
        };
        let image = self.image(node, &op.pool_spec, computed)?;
        let least = Tensor::from(f64::from(f32::MIN));
        let (image, padding) = self.padded(node, &op.pool_spec, image, &least, computed)?;
        let name = self.add("MaxPool", &[image], window(&op.pool_spec, &padding));
        self.set_image(node, &op.pool_spec, name, computed)
    }

    /// The image with what the window reaches beyond it, where that is more than ONNX's pools take.
    fn padded(
        &mut self,
        node: &TypedNode,
        spec: &PoolSpec,
        image: String,
        fill: &Tensor,
        datum: DatumType,
    ) -> Result<(String, Vec<[usize; 2]>), Why> {
        let padding = self.padding(node, spec)?;
        if is_short(spec, &padding) {
            return Ok((image, padding));
        }
        let before = padding.iter().map(|[before, _]| *before);
        let after = padding.iter().map(|[_, after]| *after);
        let pads = [0, 0].into_iter().chain(before).chain([0, 0]).chain(after);
        let (pads, fill) =
            (self.numbers(pads)?, fill.cast_to_dt(datum).map_err(|cause| cause.to_string())?.into_owned());
        let fill = self.hold(&fill)?;
        let image = self.add("Pad", &[image, pads, fill], vec![onnx::text("mode", "constant")]);
        Ok((image, vec![[0, 0]; padding.len()]))
    }

    /// The mean of each window with zeros around the image, times how many elements the engine says that it counts.
    pub(super) fn sum_pool(&mut self, node: &TypedNode, op: &SumPool) -> Result<(), Why> {
        let (spec, computed) = (&op.pool_spec, self.floats(node)?);
        let image = self.image(node, spec, computed)?;
        let padding = self.padding(node, spec)?;
        let volume = spec.kernel_shape.iter().product::<usize>() as f32;
        let (mut name, elements) = if is_short(spec, &padding) && spec.dilations().iter().all(|dilation| *dilation == 1)
        {
            let mut attributes = window(spec, &padding);
            attributes.retain(|attribute| attribute.name != "dilations");
            attributes.push(onnx::int("count_include_pad", 1));
            (self.add("AveragePool", &[image], attributes), volume)
        } else {
            // Pools of ONNX know neither; nor is there a node for the padding, which libraries to 1.23 put back into the pool.
            let shape: Vec<usize> =
                [spec.input_channels, 1].into_iter().chain(spec.kernel_shape.iter().copied()).collect();
            let ones = Tensor::from(1.0).cast_to_dt(computed).and_then(|one| one.broadcast_scalar_to_shape(&shape));
            let ones = self.hold(&ones.map_err(|cause| cause.to_string())?)?;
            let mut attributes = window(spec, &padding);
            attributes.push(onnx::int("group", spec.input_channels as i64));
            (self.add("Conv", &[image, ones], attributes), 1.0)
        };
        let factors = self.factors(node, op, elements)?;
        let factors = factors.cast_to_dt(computed).map_err(|cause| cause.to_string())?.into_owned();
        if !factors.to_plain_array_view::<f32>().is_ok_and(|factors| factors.iter().all(|factor| *factor == 1.0)) {
            let factors = self.hold(&factors)?;
            name = self.add("Mul", &[name, factors], Vec::new());
        }
        self.set_image(node, spec, name, computed)
    }

    /// What the engine makes of a window of ones, of what was made of it here: one channel.
    ///
    /// What is made here of one with `valid` places inside the image is `valid / elements`.
    fn factors(&self, node: &TypedNode, op: &SumPool, elements: f32) -> Result<Tensor, Why> {
        let sizes = self.image_sizes(node, &op.pool_spec)?;
        let shape: Vec<usize> = [1].into_iter().chain(sizes).collect();
        let pool_spec =
            PoolSpec { data_format: DataFormat::CHW, input_channels: 1, output_channels: 1, ..op.pool_spec.clone() };
        let of_ones = |normalize: bool| {
            let op = SumPool { pool_spec: pool_spec.clone(), normalize, ..op.clone() };
            let ones = Tensor::from(1_f32).broadcast_scalar_to_shape(&shape)?;
            let turn = TurnState::default();
            let made = op.eval(&turn.context(SessionId::NONE, usize::MAX), tvec!(TValue::from(ones)))?;
            made[0].to_plain_array_view::<f32>().map(|made| made.to_owned())
        };
        let made = of_ones(op.normalize).map_err(|cause| cause.to_string())?;
        let valid = of_ones(false).map_err(|cause| cause.to_string())?;
        let mut factors = made;
        factors.zip_mut_with(&valid, |made, valid| *made = if *valid == 0.0 { 0.0 } else { *made * elements / *valid });
        Ok(factors.into_tensor())
    }
}

/// Whether padding is shorter than the window, as ONNX's pools ask for.
fn is_short(spec: &PoolSpec, padding: &[[usize; 2]]) -> bool {
    padding.iter().zip(&spec.kernel_shape).all(|(pads, size)| pads.iter().all(|pad| pad < size))
}
