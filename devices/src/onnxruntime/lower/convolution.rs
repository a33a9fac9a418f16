//! Convolutions, and those that spread.

use tract_onnx::pb::AttributeProto;
use tract_onnx::tract_hir::internal::{DatumType, OutletId, Tensor, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::cnn::{Conv, Deconv, KernelFormat, PoolSpec};

use super::super::onnx;
use super::cast::computed;
use super::{Lowering, Why};

impl Lowering<'_> {
    pub(super) fn convolution(&mut self, node: &TypedNode, op: &Conv) -> Result<(), Why> {
        if let Some(datum) = op.q_params {
            return self.integer_convolution(node, op, datum);
        }
        let computed = self.floats(node)?;
        let image = self.image(node, &op.pool_spec, computed)?;
        let kernel = self.kernel(node.inputs[1], op.kernel_fmt, op.group)?;
        let kernel = self.cast_value(kernel, self.datum(node.inputs[1])?, computed)?;
        let mut inputs = vec![image, kernel];
        inputs.extend(self.bias(node.inputs[2], op.output_channels(), computed)?);
        let padding = self.padding(node, &op.pool_spec)?;
        let mut attributes = window(&op.pool_spec, &padding);
        attributes.push(onnx::int("group", op.group as i64));
        let made = self.add("Conv", &inputs, attributes);
        self.set_image(node, &op.pool_spec, made, computed)
    }

    /// Of integers of 8 bits, which are summed in 32.
    fn integer_convolution(&mut self, node: &TypedNode, op: &Conv, datum: DatumType) -> Result<(), Why> {
        if datum != DatumType::I32 {
            return Err(format!("it is quantised to {datum:?}"));
        }
        let stored = self.datum(node.inputs[0])?;
        let image = self.image(node, &op.pool_spec, stored)?;
        let inputs = vec![
            image,
            self.kernel(node.inputs[1], op.kernel_fmt, op.group)?,
            self.zero_point(node.inputs[3], stored)?,
            self.zero_point(node.inputs[5], self.datum(node.inputs[1])?)?,
        ];
        let padding = self.padding(node, &op.pool_spec)?;
        let mut attributes = window(&op.pool_spec, &padding);
        attributes.push(onnx::int("group", op.group as i64));
        let mut made = self.add("ConvInteger", &inputs, attributes);
        if let Some(bias) = self.bias(node.inputs[2], op.output_channels(), DatumType::I32)? {
            let shape: Vec<usize> =
                [op.output_channels()].into_iter().chain(op.pool_spec.kernel_shape.iter().map(|_| 1)).collect();
            let bias = self.reshaped(bias, &shape)?;
            made = self.add("Add", &[made, bias], Vec::new());
        }
        self.set_image(node, &op.pool_spec, made, DatumType::I32)
    }

    /// The kernel with output channels first, then the input channels of a group.
    fn kernel(&mut self, outlet: OutletId, format: KernelFormat, groups: usize) -> Result<String, Why> {
        let (name, axes) = (self.plain(outlet)?, self.shape(outlet)?.len());
        let order: Vec<usize> = match format {
            KernelFormat::OIHW => return Ok(name),
            _ if groups != 1 => return Err(format!("it has {groups} groups, and its kernel is {format:?}")),
            KernelFormat::HWIO => [axes - 1, axes - 2].into_iter().chain(0..axes - 2).collect(),
            KernelFormat::OHWI => [0, axes - 1].into_iter().chain(1..axes - 1).collect(),
        };
        Ok(self.transposed(name, &order))
    }

    /// A zero point in the type of what it is of.
    pub(super) fn zero_point(&mut self, outlet: OutletId, of: DatumType) -> Result<String, Why> {
        if let Some(constant) = self.constant(outlet) {
            let cast = constant.cast_to_dt(of.unquantized()).map_err(|cause| cause.to_string())?.into_owned();
            return self.hold(&cast);
        }
        let (name, datum) = (self.plain(outlet)?, self.datum(outlet)?);
        self.cast_value(name, datum, of)
    }

    pub(super) fn transposed_convolution(&mut self, node: &TypedNode, op: &Deconv) -> Result<(), Why> {
        if op.kernel_format != KernelFormat::OIHW {
            return Err(format!("its kernel is {:?}", op.kernel_format));
        }
        let spec = &op.pool_spec;
        let computed = self.floats(node)?;
        let image = self.image(node, spec, computed)?;
        let kernel = self.constant(node.inputs[1]).ok_or("its kernel is computed")?;
        let kernel = turned(&kernel, op.group).map_err(|cause| cause.to_string())?;
        let kernel = kernel.cast_to_dt(computed).map_err(|cause| cause.to_string())?.into_owned();
        let kernel = self.hold(&kernel)?;
        let mut inputs = vec![image, kernel];
        inputs.extend(self.bias(node.inputs[2], spec.output_channels, computed)?);
        let sizes = self.image_sizes(node, spec)?;
        let padding = spec
            .padding
            .compute_for_deconv(&sizes, &spec.kernel_shape, &spec.dilations(), &spec.strides(), &op.adjustments)
            .map_err(|cause| cause.to_string())?;
        let first = spec.data_format.h_axis();
        let made = self.shape(node.id.into())?;
        let (mut pads, mut beyond) = (Vec::new(), Vec::new());
        for (axis, padding) in padding.iter().enumerate() {
            let field = (spec.kernel_shape[axis] - 1) * spec.dilation(axis) + 1;
            // What is made is cut at its end, or has more that only the bias reaches.
            let all = (sizes[axis].max(1) - 1) * spec.stride(axis) + field;
            let wanted = padding.pad_before + made[first + axis];
            pads.push([padding.pad_before, all.saturating_sub(wanted)]);
            beyond.push(wanted.saturating_sub(all));
        }
        let mut attributes = window(spec, &pads);
        attributes.push(onnx::int("group", op.group as i64));
        attributes.push(onnx::ints("output_padding", beyond));
        let made = self.add("ConvTranspose", &inputs, attributes);
        self.set_image(node, spec, made, computed)
    }

    /// The type that a node which knows floats only is computed in.
    pub(super) fn floats(&self, node: &TypedNode) -> Result<DatumType, Why> {
        let computed = computed(self.datum(node.inputs[0])?)?;
        if computed.is_float() { Ok(computed) } else { Err(format!("it is of {:?}", self.datum(node.inputs[0])?)) }
    }

    /// What is read, as the engine has it and in this type.
    pub(super) fn in_type(&mut self, outlet: OutletId, to: DatumType) -> Result<String, Why> {
        let (name, datum) = (self.plain(outlet)?, self.datum(outlet)?);
        self.cast_value(name, datum, to)
    }

    /// One number a channel; nothing where it adds nothing.
    fn bias(&mut self, outlet: OutletId, channels: usize, datum: DatumType) -> Result<Option<String>, Why> {
        let Some(bias) = self.constant(outlet) else {
            let name = self.in_type(outlet, datum)?;
            let size = self.shape(outlet)?.iter().product::<usize>();
            let name = self.reshaped(name, &[size])?;
            let channels = self.numbers([channels])?;
            return Ok(Some(self.add("Expand", &[name, channels], Vec::new())));
        };
        let bias = bias.cast_to_dt(datum).map_err(|cause| cause.to_string())?.into_owned();
        if bias.is_zero().unwrap_or(false) {
            return Ok(None);
        }
        let flat = bias.len();
        let bias = bias.into_shape(&[flat]).and_then(|bias| bias.broadcast_to_shape(&[channels]));
        Ok(Some(self.hold(&bias.map_err(|cause| cause.to_string())?)?))
    }
}

/// The kernel as ONNX has it: input channels before the output channels of a group.
fn turned(kernel: &Tensor, groups: usize) -> tract_onnx::prelude::TractResult<Tensor> {
    let shape = kernel.shape().to_vec();
    let (outputs, inputs, window) = (shape[0] / groups, shape[1], &shape[2..]);
    let apart: Vec<usize> = [groups, outputs, inputs].into_iter().chain(window.iter().copied()).collect();
    let mut order: Vec<usize> = (0..apart.len()).collect();
    order.swap(1, 2);
    let merged: Vec<usize> = [groups * inputs, outputs].into_iter().chain(window.iter().copied()).collect();
    kernel.clone().into_shape(&apart)?.permute_axes(&order)?.into_shape(&merged)
}

/// What ONNX's operators are told of a window.
pub(super) fn window(spec: &PoolSpec, padding: &[[usize; 2]]) -> Vec<AttributeProto> {
    let before = padding.iter().map(|[before, _]| *before);
    vec![
        onnx::ints("kernel_shape", spec.kernel_shape.iter().copied()),
        onnx::ints("strides", spec.strides().iter().copied()),
        onnx::ints("dilations", spec.dilations().iter().copied()),
        onnx::ints("pads", before.chain(padding.iter().map(|[_, after]| *after))),
    ]
}
