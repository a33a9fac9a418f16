//! A component in a store of its own: every call into it is timed, and every way it can end has its error.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use thalweg_planner::Bytes;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap, UpdateDeadline};

use super::bindings::ModuleWithModels;
use super::error::{Exceeded, SandboxError};
use super::host::{Host, Taken, printable};
use super::limits::Limits;
use super::{Loaded, STACK_BYTES_MAX};

/// What a module may hand over at once beside a list that is as long as its memory.
const LIST_SLACK_BYTES: usize = 64 << 10;

/// An instantiated component.
pub(super) struct Running {
    loaded: Arc<Loaded>,
    store: Store<Host>,
    exports: ModuleWithModels,
    spent: bool,
}

impl Running {
    /// Instantiates, which runs start functions.
    pub(super) fn start(loaded: Arc<Loaded>, limits: &Limits) -> Result<Self, SandboxError> {
        let most = loaded.sandbox.machine.memory_bytes_max;
        if limits.memory_bytes.get() > most {
            let (asked, most) = (Bytes(limits.memory_bytes.get()), Bytes(most));
            return Err(SandboxError::MemoryOfMachine { module: loaded.name.to_string(), asked, most });
        }
        let host = Host::new(Arc::clone(&loaded.name), *limits, loaded.models.clone());
        let mut store = Store::new(&loaded.sandbox.engine, host);
        store.limiter(|host| host);
        store.set_hostcall_fuel(limits.memory_bytes.count().saturating_add(LIST_SLACK_BYTES));
        // The host's own tables are full first, and their errors say which limit that was.
        store.set_max_component_handles(limits.handles.count().saturating_mul(3));
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut context| {
            context.data_mut().check_time()?;
            Ok(UpdateDeadline::Continue(1))
        });
        let exports = {
            let _ticking = loaded.sandbox.ticker.enter();
            loaded.exports.instantiate(&mut store)
        };
        match exports {
            Ok(exports) => Ok(Self { loaded, store, exports, spent: false }),
            Err(error) if error.is::<PoolConcurrencyLimitError>() => {
                let most = loaded.sandbox.machine.instances_max;
                Err(SandboxError::Full { module: loaded.name.to_string(), most })
            }
            Err(error) => Err(explain(&loaded.name, store.data(), &error)),
        }
    }

    pub(super) fn name(&self) -> String {
        self.loaded.name.to_string()
    }

    /// Whether a call was stopped, so that memory and handles are in no known state.
    pub(super) fn is_spent(&self) -> bool {
        self.spent
    }

    pub(super) fn taken(&self) -> Taken {
        self.store.data().taken()
    }

    /// Calls into the component, for at most `time`; an error spends it.
    pub(super) fn call<T>(
        &mut self,
        time: Duration,
        body: impl FnOnce(&ModuleWithModels, &mut Store<Host>) -> wasmtime::Result<T>,
    ) -> Result<T, SandboxError> {
        if self.spent {
            return Err(SandboxError::Spent { module: self.name(), reason: "was stopped in an earlier call" });
        }
        self.store.data_mut().begin(time);
        let answer = {
            let _ticking = self.loaded.sandbox.ticker.enter();
            body(&self.exports, &mut self.store)
        };
        let answer = answer.map_err(|error| explain(&self.loaded.name, self.store.data(), &error));
        let kept = self.store.data_mut().clear();
        self.spent = answer.is_err() || kept > 0;
        match answer {
            Ok(_) if kept > 0 => Err(SandboxError::Kept { module: self.name(), count: kept }),
            answer => answer,
        }
    }
}

/// What an error of the runtime was about.
fn explain(module: &str, host: &Host, error: &wasmtime::Error) -> SandboxError {
    let module = module.to_owned();
    if let Some(exceeded) = host.exceeded() {
        return SandboxError::Exceeded { module, exceeded };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => {
            SandboxError::Exceeded { module, exceeded: Exceeded::Stack(Bytes(STACK_BYTES_MAX as u64)) }
        }
        Some(trap) => SandboxError::Trapped { module, reason: trap.to_string() },
        None => SandboxError::Interface { module, reason: innermost(error) },
    }
}

/// The last of a chain of causes: those before it are backtraces and where it happened.
pub(super) fn innermost(error: &wasmtime::Error) -> String {
    let mut cause: &dyn Error = error.as_ref();
    while let Some(next) = cause.source() {
        cause = next;
    }
    printable(&cause.to_string())
}
