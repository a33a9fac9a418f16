//! The GPU: one adapter, its queue, and the kernels that were compiled for it.

use std::collections::{HashMap, HashSet};
use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use pollster::block_on;

use super::error::GpuError;
use super::pick::{fastest, product_time};
use super::shader::Shader;
use crate::Precision;

/// An adapter as its driver names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapter {
    /// Its name, such as "V3D 7.1.7".
    pub name: String,
    /// What it is reached through: Vulkan, Metal or Dx12.
    pub backend: String,
    /// The driver and its version.
    pub driver: String,
    /// Whether it computes on the processor, as llvmpipe does.
    pub software: bool,
}

/// How long a run may take: a driver that answers nothing for so long is taken for lost.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

/// A device context. Cheap to clone; all of them share kernels.
#[derive(Debug, Clone)]
pub struct Gpu(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    adapter: Adapter,
    device: wgpu::Device,
    queue: wgpu::Queue,
    limits: wgpu::Limits,
    kind: wgpu::DeviceType,
    timestamps: bool,
    precision: Precision,
    /// By what they are compiled from.
    kernels: Mutex<HashMap<Shader, Weak<Kernel>>>,
    /// Why the device is lost, if it is.
    lost: Arc<OnceLock<String>>,
}

/// A compiled kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
}

/// All adapters of this machine, those of hardware first. None where no driver is installed.
pub fn adapters() -> Vec<Adapter> {
    found().into_iter().map(|(adapter, _)| adapter).collect()
}

fn found() -> Vec<(Adapter, wgpu::Adapter)> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::PRIMARY,
        flags: if cfg!(test) { wgpu::InstanceFlags::VALIDATION } else { wgpu::InstanceFlags::empty() },
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let described = |adapter: wgpu::Adapter| {
        let info = adapter.get_info();
        let driver = [info.driver, info.driver_info].join(" ").trim().to_owned();
        let software = info.device_type == wgpu::DeviceType::Cpu;
        (Adapter { name: info.name, backend: format!("{:?}", info.backend), driver, software }, adapter)
    };
    let mut found: Vec<_> = block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY))
        .into_iter()
        .filter(|adapter| adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS))
        .map(described)
        .collect();
    found.sort_by_key(|(adapter, _)| adapter.software);
    found
}

/// Whether the system has a file for a GPU. Without one there is none of hardware, and no driver need be loaded to know it:
/// those in software take a tenth of a second and 60 MiB.
fn has_device_file() -> bool {
    const NAMES: [&str; 6] = ["nvidia", "nvhost", "nvmap", "mali", "kgsl", "dxg"];
    let any = |folder: &str, is_one: &dyn Fn(&str) -> bool| {
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        files.map(|file| file.file_name()).any(|name| is_one(&name.to_string_lossy()))
    };
    !cfg!(target_os = "linux")
        || any("/dev/dri", &|name| name.starts_with("renderD"))
        || any("/dev", &|name| NAMES.iter().any(|known| name.starts_with(known)))
}

impl Gpu {
    /// The adapter whose name has `name` in it, in any case; one of hardware when it is empty. Of several the one that computes a
    /// product fastest. It keeps weights in this precision, or it is an error.
    pub fn open(name: &str, precision: Precision) -> Result<Self, GpuError> {
        let all = if name.is_empty() && !has_device_file() { Vec::new() } else { found() };
        let names: Vec<String> = all.iter().map(|(adapter, _)| adapter.name.clone()).collect();
        let is_meant = |adapter: &Adapter| match name {
            "" => !adapter.software,
            _ => adapter.name.to_lowercase().contains(&name.to_lowercase()),
        };
        let meant = all.into_iter().filter(|(adapter, _)| is_meant(adapter));
        let opened = meant.map(|(adapter, device)| Self::on(adapter, &device, precision)).collect();
        let none = || Err(GpuError::NoAdapter { name: name.to_owned(), found: names.join(", ") });
        fastest(opened, product_time).unwrap_or_else(none)
    }

    fn on(adapter: Adapter, device: &wgpu::Adapter, precision: Precision) -> Result<Self, GpuError> {
        let (limits, device_type) = (device.limits(), device.get_info().device_type);
        let wanted = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES;
        let needed = match precision {
            Precision::F32 => wgpu::Features::empty(),
            Precision::F16 => wgpu::Features::SHADER_F16,
        };
        if !device.features().contains(needed) {
            return Err(GpuError::NoF16 { adapter: adapter.name });
        }
        let features = device.features() & (wanted | needed);
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("thalweg"),
            required_features: features,
            required_limits: limits.clone(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..wgpu::DeviceDescriptor::default()
        };
        let opened = block_on(device.request_device(&descriptor));
        let (device, queue) =
            opened.map_err(|cause| GpuError::NoDevice { adapter: adapter.name.clone(), cause: cause.to_string() })?;
        let lost = Arc::new(OnceLock::new());
        let says = lost.clone();
        device.set_device_lost_callback(move |reason, text| {
            let _ = says.set(format!("{reason:?}: {text}").to_lowercase());
        });
        let says = lost.clone();
        // What is wrong outside an error scope is an error of ours: nothing is computed on this device any more.
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let _ = says.set(error.to_string());
        }));
        let timestamps =
            features.contains(wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES);
        let (kernels, kind) = (Mutex::default(), device_type);
        Ok(Self(Arc::new(Inner { adapter, device, queue, limits, kind, timestamps, precision, kernels, lost })))
    }

    /// The adapter.
    pub fn adapter(&self) -> &Adapter {
        &self.0.adapter
    }

    /// How it keeps weights.
    pub fn precision(&self) -> Precision {
        self.0.precision
    }

    /// Whether it tells how long each kernel took.
    pub(super) fn has_timestamps(&self) -> bool {
        self.0.timestamps
    }

    /// Ends the device, as a driver that is reset does: for tests of what comes after.
    #[cfg(test)]
    pub(super) fn lose(&self) {
        let _ = self.0.lost.set("it was ended on purpose".to_owned());
        self.0.device.destroy();
    }

    pub(super) fn device(&self) -> &wgpu::Device {
        &self.0.device
    }

    pub(super) fn queue(&self) -> &wgpu::Queue {
        &self.0.queue
    }

    pub(super) fn limits(&self) -> &wgpu::Limits {
        &self.0.limits
    }

    /// Processors that each run workgroups of their own, roughly: nothing tells it, so by the kind of the adapter.
    pub(super) fn processors(&self) -> usize {
        match self.0.kind {
            wgpu::DeviceType::DiscreteGpu => 128,
            wgpu::DeviceType::Cpu => 4,
            _ => 16,
        }
    }

    /// An error where the device is lost.
    pub(crate) fn check(&self) -> Result<(), GpuError> {
        match self.0.lost.get() {
            Some(cause) => Err(GpuError::Lost { adapter: self.0.adapter.name.clone(), cause: cause.clone() }),
            None => Ok(()),
        }
    }

    /// Waits until all that was submitted is done.
    pub(super) fn wait(&self) -> Result<(), GpuError> {
        self.wait_for(None)
    }

    /// Waits until this submission is done, and what is mapped after it is mapped; for all of them without one.
    pub(super) fn wait_for(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<(), GpuError> {
        let waited = self.0.device.poll(wgpu::PollType::Wait { submission_index, timeout: Some(ANSWERS_WITHIN) });
        self.check()?;
        waited.map(drop).map_err(|cause| self.lost(&cause.to_string()))
    }

    /// The device is lost from now on, for a reason that nobody else says.
    pub(super) fn lost(&self, cause: &str) -> GpuError {
        let cause = self.0.lost.get_or_init(|| cause.to_owned()).clone();
        GpuError::Lost { adapter: self.0.adapter.name.clone(), cause }
    }

    /// Does something that may be too much for the device, or not valid: then it says what was wrong.
    pub(super) fn scoped<T>(&self, work: impl FnOnce() -> T) -> Result<T, GpuError> {
        self.check()?;
        let memory = self.0.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let valid = self.0.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let made = work();
        let (valid, memory) = (block_on(valid.pop()), block_on(memory.pop()));
        self.check()?;
        let adapter = || self.0.adapter.name.clone();
        match (memory, valid) {
            (Some(cause), _) => Err(GpuError::Memory { adapter: adapter(), cause: cause.to_string() }),
            (_, Some(cause)) => Err(GpuError::Kernel { adapter: adapter(), cause: cause.to_string() }),
            (None, None) => Ok(made),
        }
    }

    /// Buffers that are on the device, and their bytes: what each driver call has asked for and not given back.
    #[cfg(test)]
    pub(super) fn allocated(&self) -> (usize, u64) {
        let report = self.0.device.generate_allocator_report();
        report.map_or((0, 0), |report| (report.allocations.len(), report.total_allocated_bytes))
    }

    /// The kernels that are compiled from these: each once a device for as long as somebody holds it, and all that are missing
    /// on all cores, since drivers take tens of milliseconds for each.
    pub(super) fn compiled(&self, shaders: &[&Shader]) -> Result<Vec<Arc<Kernel>>, GpuError> {
        let known = |shader: &&Shader| self.kernels().get(*shader).is_some_and(|kernel| kernel.strong_count() > 0);
        let missing: HashSet<&Shader> = shaders.iter().copied().filter(|shader| !known(shader)).collect();
        let missing: Vec<&Shader> = missing.into_iter().collect();
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let each = missing.len().div_ceil(threads).max(1);
        // Held until all have theirs.
        let made = thread::scope(|scope| {
            let compile =
                |some: &[&Shader]| some.iter().map(|shader| self.kernel(shader)).collect::<Result<Vec<_>, _>>();
            let started: Vec<_> = missing.chunks(each).map(|some| scope.spawn(move || compile(some))).collect();
            let lost = |_| Err(self.lost("a driver panicked while it compiled a kernel"));
            started.into_iter().map(|thread| thread.join().unwrap_or_else(lost)).collect::<Result<Vec<_>, _>>()
        })?;
        let all = shaders.iter().map(|shader| self.kernel(shader)).collect();
        drop(made);
        all
    }

    fn kernel(&self, shader: &Shader) -> Result<Arc<Kernel>, GpuError> {
        if let Some(kernel) = self.kernels().get(shader).and_then(Weak::upgrade) {
            return Ok(kernel);
        }
        let kernel = Arc::new(self.scoped(|| self.compile(shader))?);
        let mut kernels = self.kernels();
        kernels.retain(|_, kernel| kernel.strong_count() > 0);
        kernels.insert(shader.clone(), Arc::downgrade(&kernel));
        Ok(kernel)
    }

    fn kernels(&self) -> MutexGuard<'_, HashMap<Shader, Weak<Kernel>>> {
        self.0.kernels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compile(&self, shader: &Shader) -> Kernel {
        let device = &self.0.device;
        let label = Some(shader.name);
        let source = wgpu::ShaderSource::Wgsl(shader.text.as_str().into());
        let descriptor = wgpu::ShaderModuleDescriptor { label, source };
        // Checks of each index and each loop cost up to a tenth. None is needed: what a kernel reads or writes is bounded by
        // the sizes that it was made for, and beyond its buffers Vulkan bounds it (`robustBufferAccess`).
        let vulkan = self.0.adapter.backend == "Vulkan";
        let checks = if vulkan { wgpu::ShaderRuntimeChecks::unchecked() } else { wgpu::ShaderRuntimeChecks::checked() };
        #[expect(unsafe_code, reason = "the text is ours, and its indices are bounded by construction")]
        let module = unsafe { device.create_shader_module_trusted(descriptor, checks) };
        let storage = |read_only| wgpu::BufferBindingType::Storage { read_only };
        let types = [wgpu::BufferBindingType::Uniform]
            .into_iter()
            .chain((0..shader.reads).map(|_| storage(true)))
            .chain((0..shader.writes).map(|_| storage(false)));
        let entry = |(binding, ty): (u32, wgpu::BufferBindingType)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        };
        let entries: Vec<_> = (0..).zip(types).map(entry).collect();
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label,
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            })),
            module: &module,
            entry_point: Some("main"),
            // Kernels write all of it before they read it.
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..wgpu::PipelineCompilationOptions::default()
            },
            cache: None,
        });
        Kernel { pipeline, layout }
    }
}
