//! A program on a device: compiled kernels, bound to buffers once, and run as often as there are inputs.

use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::context::{Gpu, Kernel};
use super::error::GpuError;
use super::ir::{Call, Origin, Program, Value};
use super::memory::plan;
use super::shader::{Shader, shader};

/// Where a uniform may begin.
const ALIGNED: usize = 256;

/// How often a kernel runs between two readings of the device's clock, which takes longer than a short kernel.
const REPEATS: u32 = 16;

/// A program that is ready to run. One run at a time: another waits.
#[derive(Debug)]
pub(super) struct Recorded {
    gpu: Gpu,
    dispatches: Vec<Dispatch>,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    /// Where each output lies.
    made: Vec<wgpu::Buffer>,
    lane: Mutex<Lane>,
    /// Bytes of all its buffers.
    pub(super) memory: Footprint,
}

/// What of a program's inputs and outputs stays on the device, by their places; nothing where it says nothing.
#[derive(Debug, Default)]
pub(super) struct Handover {
    /// Where an input lies that another program has made; none for what the host gives.
    pub(super) comes: Vec<Option<wgpu::Buffer>>,
    /// Whether the host gets an output.
    pub(super) leaves: Vec<bool>,
}

/// Bytes that a program takes on the device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Footprint {
    /// What is the same for all runs.
    pub constants: u64,
    /// What kernels make on the way.
    pub pool: u64,
    /// What crosses between the host and the device.
    pub ports: u64,
}

#[derive(Debug)]
struct Dispatch {
    kernel: Arc<Kernel>,
    bound: wgpu::BindGroup,
    grid: [u32; 3],
    node: String,
    name: &'static str,
    sizes: String,
    macs: u64,
    bytes: u64,
}

/// Words that come from the host, or go there.
#[derive(Debug)]
struct Port {
    buffer: wgpu::Buffer,
    /// Where in the buffer of the lane.
    at: usize,
    words: usize,
}

/// What one run uses alone.
#[derive(Debug)]
struct Lane {
    /// Mapped between runs.
    upload: wgpu::Buffer,
    download: wgpu::Buffer,
    /// The commands of the next run, where there was time to encode them.
    next: Option<wgpu::CommandBuffer>,
}

/// How long a kernel took.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelTime {
    /// The node of the model where it begins.
    pub node: String,
    /// Which kernel.
    pub kernel: &'static str,
    /// Of one run.
    pub time: Duration,
    /// Its sizes, for people.
    pub sizes: String,
    /// Multiply-adds.
    pub macs: u64,
    /// Bytes that it reads and writes at least: each operand once.
    pub bytes: u64,
}

impl Recorded {
    /// Compiles and binds everything. What is the same for all runs goes to the device now.
    pub(super) fn new(gpu: &Gpu, program: &Program, handover: &Handover) -> Result<Self, GpuError> {
        let shaders: Vec<_> = program.calls.iter().map(|call| shader(call, &program.values)).collect();
        let kernels = gpu.compiled(&shaders.iter().map(|(shader, _)| shader).collect::<Vec<_>>())?;
        let made = gpu.scoped(|| Builder { gpu, program, handover }.build(&shaders, kernels))?;
        gpu.wait()?;
        Ok(made)
    }

    /// Where its outputs lie on the device, as it was last run.
    pub(super) fn made(&self) -> &[wgpu::Buffer] {
        &self.made
    }

    /// Runs it. `fill` writes the words of each input that the host gives, `take` gets those of each output that the host gets.
    pub(super) fn run<T>(
        &self,
        mut fill: impl FnMut(usize, wgpu::WriteOnly<'_, [u8]>),
        mut take: impl FnMut(usize, &[u8]) -> T,
    ) -> Result<Vec<T>, GpuError> {
        let mut lane = self.lane();
        self.gpu.check()?;
        let lost = |cause: &dyn std::fmt::Display| self.gpu.lost(&cause.to_string());
        {
            let mut mapped = lane.upload.get_mapped_range_mut(..).map_err(|cause| lost(&cause))?;
            for (place, port) in self.inputs.iter().enumerate() {
                fill(place, mapped.slice(port.at..port.at + port.words * 4));
            }
        }
        lane.upload.unmap();
        let commands = lane.next.take().unwrap_or_else(|| self.encode(&lane, None));
        let submitted = self.gpu.queue().submit([commands]);
        lane.download.map_async(wgpu::MapMode::Read, .., |_| {});
        lane.upload.map_async(wgpu::MapMode::Write, .., |_| {});
        // While the device computes.
        lane.next = Some(self.encode(&lane, None));
        self.gpu.wait_for(Some(submitted))?;
        let outputs = {
            let mapped = lane.download.get_mapped_range(..).map_err(|cause| lost(&cause))?;
            let part = |port: &Port| port.at..port.at + port.words * 4;
            self.outputs.iter().enumerate().map(|(place, port)| take(place, &mapped[part(port)])).collect()
        };
        lane.download.unmap();
        Ok(outputs)
    }

    fn encode(&self, lane: &Lane, times: Option<&wgpu::QuerySet>) -> wgpu::CommandBuffer {
        let mut encoder = self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for port in &self.inputs {
            encoder.copy_buffer_to_buffer(&lane.upload, port.at as u64, &port.buffer, 0, port.words as u64 * 4);
        }
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for (place, dispatch) in (0..).zip(&self.dispatches) {
                if let Some(times) = times {
                    pass.write_timestamp(times, place);
                }
                pass.set_pipeline(&dispatch.kernel.pipeline);
                pass.set_bind_group(0, &dispatch.bound, &[]);
                let [x, y, z] = dispatch.grid;
                (0..if times.is_some() { REPEATS } else { 1 }).for_each(|_| pass.dispatch_workgroups(x, y, z));
            }
            if let Some(times) = times {
                pass.write_timestamp(times, self.dispatches.len() as u32);
            }
        }
        for port in &self.outputs {
            encoder.copy_buffer_to_buffer(&port.buffer, 0, &lane.download, port.at as u64, port.words as u64 * 4);
        }
        encoder.finish()
    }

    /// How long each kernel takes, on the inputs of the latest run: the least of several runs. None where the device does not
    /// tell.
    pub(super) fn times(&self, runs: usize) -> Result<Option<Vec<KernelTime>>, GpuError> {
        if !self.gpu.has_timestamps() || self.dispatches.len() >= wgpu::QUERY_SET_MAX_QUERIES as usize {
            return Ok(None);
        }
        let lane = self.lane();
        let count = self.dispatches.len() as u32 + 1;
        let device = self.gpu.device();
        let descriptor = wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count };
        let set = device.create_query_set(&descriptor);
        let buffer = |usage| {
            let size = u64::from(count) * 8;
            device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        };
        let resolved = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
        let read = buffer(wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ);
        let mut least = vec![u64::MAX; self.dispatches.len()];
        lane.upload.unmap();
        for _ in 0..runs {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.resolve_query_set(&set, 0..count, &resolved, 0);
            encoder.copy_buffer_to_buffer(&resolved, 0, &read, 0, u64::from(count) * 8);
            self.gpu.queue().submit([self.encode(&lane, Some(&set)), encoder.finish()]);
            read.map_async(wgpu::MapMode::Read, .., |_| {});
            self.gpu.wait()?;
            {
                let mapped = read.get_mapped_range(..).map_err(|cause| self.gpu.lost(&cause.to_string()))?;
                let ticks: Vec<u64> =
                    mapped.chunks_exact(8).map(|bytes| bytes.try_into().map_or(0, u64::from_le_bytes)).collect();
                for (least, pair) in least.iter_mut().zip(ticks.windows(2)) {
                    *least = (*least).min(pair[1].saturating_sub(pair[0]));
                }
            }
            read.unmap();
        }
        lane.upload.map_async(wgpu::MapMode::Write, .., |_| {});
        self.gpu.wait()?;
        let period = f64::from(self.gpu.queue().get_timestamp_period());
        let time = |(dispatch, ticks): (&Dispatch, u64)| KernelTime {
            node: dispatch.node.clone(),
            kernel: dispatch.name,
            sizes: dispatch.sizes.clone(),
            time: Duration::from_nanos((ticks as f64 * period / f64::from(REPEATS)) as u64),
            macs: dispatch.macs,
            bytes: dispatch.bytes,
        };
        Ok(Some(self.dispatches.iter().zip(least).map(time).collect()))
    }

    /// Kernels of one run.
    pub(super) fn kernels(&self) -> usize {
        self.dispatches.len()
    }

    fn lane(&self) -> MutexGuard<'_, Lane> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Builder<'a> {
    gpu: &'a Gpu,
    program: &'a Program,
    handover: &'a Handover,
}

impl Builder<'_> {
    fn build(&self, shaders: &[(Shader, Vec<u32>)], kernels: Vec<Arc<Kernel>>) -> Recorded {
        let mut memory = Footprint::default();
        let buffers = self.buffers(&mut memory);
        let each = shaders.iter().map(|(_, numbers)| numbers.len() * 4).max().unwrap_or(4).next_multiple_of(ALIGNED);
        let numbers = self.numbers(shaders, each);
        let dispatches = (0..self.program.calls.len())
            .zip(kernels)
            .map(|(place, kernel)| self.dispatch(place, kernel, (&numbers, each), &buffers))
            .collect();
        let (mut up, mut down) = (0, 0);
        let port = |value: usize, at: &mut usize| {
            let words = self.program.values[value].len;
            let from = *at;
            *at += words * 4;
            buffers[value].clone().map(|buffer| Port { buffer, at: from, words })
        };
        let from_host = (0..).zip(&self.program.inputs).filter(|(place, _)| self.comes(*place).is_none());
        let inputs: Vec<Port> = from_host.filter_map(|(_, value)| port(*value, &mut up)).collect();
        let leaves = |place: usize| self.handover.leaves.get(place).is_none_or(|leaves| *leaves);
        let to_host = (0..).zip(&self.program.outputs).filter(|(place, _)| leaves(*place));
        let outputs: Vec<Port> = to_host.filter_map(|(_, view)| port(view.value, &mut down)).collect();
        let made = self.program.outputs.iter().filter_map(|view| buffers[view.value].clone()).collect();
        memory.ports += (up + down) as u64;
        let lane = Lane {
            upload: self.buffer(up, wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC, true),
            download: self.buffer(down, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST, false),
            next: None,
        };
        Recorded { gpu: self.gpu.clone(), dispatches, inputs, outputs, made, lane: Mutex::new(lane), memory }
    }

    /// Where an input lies that another program has made.
    fn comes(&self, place: usize) -> Option<&wgpu::Buffer> {
        self.handover.comes.get(place)?.as_ref()
    }

    fn buffer(&self, bytes: usize, usage: wgpu::BufferUsages, mapped: bool) -> wgpu::Buffer {
        self.gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: bytes.max(4).next_multiple_of(16) as u64,
            usage,
            mapped_at_creation: mapped,
        })
    }

    /// A buffer that holds these bytes.
    fn filled(&self, bytes: &[u8], usage: wgpu::BufferUsages) -> wgpu::Buffer {
        let buffer = self.buffer(bytes.len(), usage, true);
        if let Ok(mut mapped) = buffer.get_mapped_range_mut(..) {
            mapped.slice(..bytes.len()).copy_from_slice(bytes);
        }
        buffer.unmap();
        buffer
    }

    /// By value, the buffer in which it lies; none for what is never in memory.
    fn buffers(&self, memory: &mut Footprint) -> Vec<Option<wgpu::Buffer>> {
        let planned = plan(self.program);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let pool: Vec<wgpu::Buffer> = planned.buffers.iter().map(|bytes| self.buffer(*bytes, usage, false)).collect();
        memory.pool = planned.buffers.iter().sum::<usize>() as u64;
        let mut used = vec![false; self.program.values.len()];
        for value in self.program.calls.iter().flat_map(Call::all_reads) {
            used[value] = true;
        }
        let of = |(id, value): (usize, &Value)| match &value.origin {
            Origin::Made { .. } => planned.of[id].map(|buffer| pool[buffer].clone()),
            Origin::Input(place) if self.comes(*place).is_some() => self.comes(*place).cloned(),
            Origin::Input(_) => {
                memory.ports += value.len as u64 * 4;
                Some(self.buffer(value.len * 4, usage | wgpu::BufferUsages::COPY_DST, false))
            }
            Origin::Constant(constant) => used[id].then(|| {
                memory.constants += value.bytes() as u64;
                self.filled(constant.bytes(), usage)
            }),
        };
        self.program.values.iter().enumerate().map(of).collect()
    }

    /// The numbers of all calls, for which there are so many bytes each.
    fn numbers(&self, shaders: &[(Shader, Vec<u32>)], each: usize) -> wgpu::Buffer {
        let mut words = vec![0; each / 4 * shaders.len().max(1)];
        for (place, (_, numbers)) in shaders.iter().enumerate() {
            words[place * each / 4..][..numbers.len()].copy_from_slice(numbers);
        }
        self.filled(bytemuck::cast_slice(&words), wgpu::BufferUsages::UNIFORM)
    }

    fn dispatch(
        &self,
        place: usize,
        kernel: Arc<Kernel>,
        (numbers, each): (&wgpu::Buffer, usize),
        buffers: &[Option<wgpu::Buffer>],
    ) -> Dispatch {
        let call = &self.program.calls[place];
        let own = call.reads.iter().map(|operand| operand.value);
        let values: Vec<usize> = own.chain(call.read_by_steps()).chain(call.writes()).collect();
        let (offset, size) = ((place * each) as u64, NonZero::new(each as u64));
        let uniform = wgpu::BufferBinding { buffer: numbers, offset, size };
        let bound = values.iter().filter_map(|value| buffers[*value].as_ref());
        let resources = std::iter::once(wgpu::BindingResource::Buffer(uniform))
            .chain(bound.map(|buffer| buffer.as_entire_binding()));
        let entries: Vec<wgpu::BindGroupEntry<'_>> =
            (0..).zip(resources).map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
        let bound = self.gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&call.node),
            layout: &kernel.layout,
            entries: &entries,
        });
        let bytes = values.iter().map(|value| self.program.values[*value].bytes() as u64).sum();
        let grid = call.grid.map(|groups| groups as u32);
        Dispatch {
            kernel,
            bound,
            grid,
            node: call.node.clone(),
            name: call.template.name,
            sizes: call.sizes.clone(),
            macs: call.macs,
            bytes,
        }
    }
}
