//! Runs task modules that nobody trusts, as WebAssembly components behind limits.
//!
//! ```text
//! bytes → Trust::check → screen → Sandbox::load → Module → Module::start → Instance → Instance::run
//! ```
//!
//! - One [`Sandbox`] a node: one wasmtime engine and one pool of memories, sized for the machine, and one thread, which
//!   sleeps while no module runs. A loaded module is compiled code and its checked [`Description`]; it costs no thread.
//! - A [`Stage`] keeps instances warm for the requests of a pipeline, and changes to another version between them.
//! - An [`Instance`] has a store of its own: a module that is stopped takes nothing else with it.
//! - A module can call what `modules/wit/module.wit` names, and nothing else: no file, clock, socket, random source or
//!   environment. Where parts of models are granted, it may run them through `wasi:nn` too (`modules/wit-nn`). An import
//!   that was not granted is refused by name before anything runs.
//! - Time is bounded by epochs, which interrupt loops, and at each call of the host. Nothing interrupts the host itself:
//!   what it does for a module is bounded in bytes, and [`Models::infer`] is told how long it may take.

mod limits;
mod machine;
mod ticker;
mod screen;
mod surface;
mod cache;
mod bindings;
mod description;
mod held;
mod host;
mod running;
mod instance;
mod stage;
mod error;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thalweg_planner::Tensor;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use crate::signature::Trust;
use bindings::ModuleWithModelsPre;
use bindings::nn::wasi::nn;
use bindings::thalweg::module as interface;
use host::Host;
use running::{Running, innermost};
use ticker::Ticker;

pub use cache::Cache;
pub use description::{Description, Port};
pub use error::{Exceeded, Failure, SandboxError};
pub use host::Taken;
pub use instance::Instance;
pub use limits::{Limit, Limits, NoLimit};
pub use machine::Machine;
pub use stage::{Setback, Stage};
pub use surface::{Import, Surface};

/// The interface that modules are built against.
pub const WORLD: &str = "thalweg:module@0.1.0";

/// The interface of models that WASI standardises.
const WASI_NN: &str = "wasi:nn@0.2.0-rc-2024-10-28";

/// The stack of a module's calls. Threads of tokio have 2 MiB.
const STACK_BYTES_MAX: usize = 512 << 10;

/// Memory of a stopped instance that the pool keeps instead of giving it back to the system: one that is instantiated
/// next need not ask for it again.
const KEPT_BYTES: usize = 64 << 10;

/// Pages behind a memory that nothing may touch. Where code has checks of bounds they only catch a fault in wasmtime.
const GUARD_BYTES: u64 = 64 << 10;

/// Where it has none they catch constant offsets too: wasmtime's own default.
const GUARD_BYTES_UNCHECKED: u64 = 32 << 20;

/// Runs parts of models for modules.
pub trait Models: Send + Sync {
    /// What the inputs and outputs of a part are called, for modules that name them; none where no part has this name.
    fn ports(&self, part: &str) -> Option<PortNames>;

    /// The outputs of the part of this name on these inputs, or what went wrong, for people. It must return within
    /// `time`: nothing interrupts it.
    fn infer(&self, part: &str, inputs: &[Tensor], time: Duration) -> Result<Vec<Tensor>, String>;
}

/// The names of what a part of a model takes and gives, each once, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortNames {
    /// Of its inputs.
    pub inputs: Vec<String>,
    /// Of its outputs.
    pub outputs: Vec<String>,
}

/// What a module may import beside tensors and log. Nothing by default.
#[derive(Clone, Default)]
pub struct Grants {
    /// The parts of models that it may run, through `models` or `wasi:nn`.
    pub models: Option<Arc<dyn Models>>,
}

/// Whether a module with these grants gets the import of this name.
fn is_granted(import: &str, grants: &Grants) -> bool {
    let of = |package: &str, interfaces: &[&str]| {
        interfaces.iter().any(|interface| import == package.replace('@', &format!("/{interface}@")))
    };
    let models = || of(WORLD, &["models"]) || of(WASI_NN, &["tensor", "graph", "inference", "errors"]);
    of(WORLD, &["failures", "tensors", "descriptions", "log"]) || grants.models.is_some() && models()
}

/// What all modules of a node share. Clones are the same sandbox.
#[derive(Clone)]
pub struct Sandbox(Arc<Shared>);

struct Shared {
    engine: Engine,
    ticker: Ticker,
    machine: Machine,
    trust: Trust,
    cache: Option<Cache>,
}

impl Sandbox {
    /// The sandbox of this node, as large as the machine allows, for modules that are trusted. Where the system gives fewer
    /// addresses than it says, fewer instances fit.
    pub fn open(machine: Machine, trust: Trust) -> Result<Self, SandboxError> {
        Self::start(machine, trust, None)
    }

    /// As [`Self::open`]; modules that were compiled before are taken from a cache, and others are put there.
    pub fn open_with_cache(machine: Machine, trust: Trust, cache: Cache) -> Result<Self, SandboxError> {
        Self::start(machine, trust, Some(cache))
    }

    fn start(machine: Machine, trust: Trust, cache: Option<Cache>) -> Result<Self, SandboxError> {
        let fail = |reason: String| SandboxError::Machine { reason };
        let mut machine = machine;
        let engine = loop {
            match Engine::new(&config(&machine)) {
                Ok(engine) => break engine,
                Err(error) if machine.instances_max <= 1 => return Err(fail(innermost(&error))),
                Err(_) => machine.instances_max /= 2,
            }
        };
        let ticker = Ticker::start(engine.clone()).map_err(|error| fail(format!("no thread starts: {error}")))?;
        Ok(Self(Arc::new(Shared { engine, ticker, machine, trust, cache })))
    }

    /// What it takes of the machine.
    pub fn machine(&self) -> &Machine {
        &self.0.machine
    }

    /// Checks who has signed a component, compiles it, and asks it to describe itself under `limits`. `name` is what
    /// errors call it. Compiling takes time and memory with the size of the component: never do it where a request waits.
    pub fn load(&self, name: &str, component: &[u8], grants: &Grants, limits: &Limits) -> Result<Module, SandboxError> {
        self.0.trust.check(name, component)?;
        screen::screen(name, component)?;
        let invalid =
            |error: &wasmtime::Error| SandboxError::Invalid { module: name.to_owned(), reason: innermost(error) };
        let component = match &self.0.cache {
            Some(cache) => cache.component(&self.0.engine, name, component),
            None => Component::from_binary(&self.0.engine, component),
        };
        let component = component.map_err(|error| invalid(&error))?;
        let exports = self.link(name, &component, grants)?;
        let (name, models) = (Arc::from(name), grants.models.clone());
        let loaded = Arc::new(Loaded { name, exports, models, sandbox: Arc::clone(&self.0) });
        let mut running = Running::start(Arc::clone(&loaded), limits)?;
        let given = running.call(Duration::MAX, |exports, store| exports.call_describe(store))?;
        let wrong = |reason| SandboxError::Description { module: loaded.name.to_string(), reason };
        let description = Arc::new(Description::check(given).map_err(wrong)?);
        Ok(Module { loaded, description })
    }

    /// Resolves the imports that were granted.
    fn link(
        &self,
        name: &str,
        component: &Component,
        grants: &Grants,
    ) -> Result<ModuleWithModelsPre<Host>, SandboxError> {
        let wrong = |error: &wasmtime::Error| SandboxError::World { module: name.to_owned(), reason: innermost(error) };
        let linker = self.linker(grants).map_err(|error| wrong(&error))?;
        let types = component.component_type();
        // A type by itself gives nothing. One that is not of a granted interface is found when imports are resolved.
        let gives = |item: &ComponentItem| !matches!(item, ComponentItem::Type(_) | ComponentItem::Resource(_));
        let mut imports = types.imports(&self.0.engine);
        if let Some((import, _)) = imports.find(|(import, item)| gives(&item.ty) && !is_granted(import, grants)) {
            let import = host::printable(import);
            return Err(SandboxError::NotGranted { module: name.to_owned(), import });
        }
        let instance = linker.instantiate_pre(component).map_err(|error| wrong(&error))?;
        ModuleWithModelsPre::new(instance).map_err(|error| wrong(&error))
    }

    fn linker(&self, grants: &Grants) -> wasmtime::Result<Linker<Host>> {
        let mut linker = Linker::new(&self.0.engine);
        interface::failures::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
        interface::tensors::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
        interface::descriptions::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
        interface::log::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
        if grants.models.is_some() {
            interface::models::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
            nn::errors::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
            nn::tensor::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
            nn::graph::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
            nn::inference::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
        }
        Ok(linker)
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Sandbox").field(&self.0.machine).finish()
    }
}

/// A module that can run: compiled, with its imports granted and its description checked. Clones are the same module.
#[derive(Clone)]
pub struct Module {
    loaded: Arc<Loaded>,
    description: Arc<Description>,
}

struct Loaded {
    name: Arc<str>,
    exports: ModuleWithModelsPre<Host>,
    models: Option<Arc<dyn Models>>,
    sandbox: Arc<Shared>,
}

impl Module {
    /// What errors call it.
    pub(crate) fn name(&self) -> String {
        self.loaded.name.to_string()
    }

    /// What it says of itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// An instance with these settings, which are JSON.
    pub fn start(&self, limits: &Limits, settings: &str) -> Result<Instance, SandboxError> {
        serde_json::from_str::<serde::de::IgnoredAny>(settings).map_err(|error| SandboxError::SettingsText {
            module: self.loaded.name.to_string(),
            reason: error.to_string(),
        })?;
        let running = Running::start(Arc::clone(&self.loaded), limits)?;
        Instance::configure(running, Arc::clone(&self.description), settings)
    }
}

/// How modules are compiled and where their memories lie. What is off was judged: threads and shared memory can wait
/// without end, relaxed vector instructions differ between machines, and the rest no module needs.
fn config(machine: &Machine) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES_MAX)
        .wasm_backtrace_max_frames(None)
        .memory_reservation(machine.reserved_bytes)
        .memory_may_move(false)
        .memory_guard_size(if machine.reserved_bytes < 4 << 30 { GUARD_BYTES } else { GUARD_BYTES_UNCHECKED })
        .wasm_relaxed_simd(false)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_tail_call(false)
        .wasm_function_references(false)
        .wasm_gc(false)
        .wasm_exceptions(false);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(machine)));
    config
}

/// Slots for instances. An empty slot costs addresses, not memory. A component of `wit-component` has one memory, two
/// tables and three core instances.
fn pool(machine: &Machine) -> PoolingAllocationConfig {
    let count = machine.instances_max;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(count)
        .total_core_instances(count.saturating_mul(4))
        .total_memories(count)
        .total_tables(count.saturating_mul(3))
        .max_memory_size(usize::try_from(machine.memory_bytes_max).unwrap_or(usize::MAX))
        .table_elements(16 << 10)
        .linear_memory_keep_resident(KEPT_BYTES)
        .table_keep_resident(KEPT_BYTES);
    pool
}
