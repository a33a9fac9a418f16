//! What tract asks of every operator.

/// Makes a type an operator of this name, whose `run_on` makes one tensor of f32 of a shape, and which may tell what that costs.
macro_rules! operator {
    ($type:ident, $name:literal, |$op:ident| $shape:expr $(, $cost:expr)?) => {
        impl Op for $type {
            fn name(&self) -> StaticName {
                $name.into()
            }

            op_as_typed_op!();
        }

        impl EvalOp for $type {
            op_out_of_plan!();

            fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
                self.run_on(Arch::new(), &inputs)
            }
        }

        impl TypedOp for $type {
            fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
                let $op = self;
                Ok(tvec!(f32::fact(&$shape)))
            }

            $(fn cost(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<(Cost, TDim)>> {
                let $op = self;
                Ok($cost)
            })?

            as_op!();
        }
    };
}
pub(super) use operator;
