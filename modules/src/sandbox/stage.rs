//! A module as a prepared step of a pipeline: warm instances for requests that come at a time, and the change to another
//! version while they come.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thalweg_planner::Tensor;

use super::{Description, Failure, Instance, Limits, Module, SandboxError};

/// So many requests a new version answers before the one before it is given up.
const TRIAL: u32 = 100;
/// So many instances stay warm: more requests at a time than cores are no faster.
const WARM_MAX: usize = 8;

/// A prepared module. Any number of threads may run it; each request has an instance for itself.
pub struct Stage {
    settings: String,
    limits: Limits,
    versions: Mutex<Versions>,
}

struct Versions {
    current: Arc<Version>,
    /// What runs again if the current one fails on trial, and how many requests that one still has to answer.
    former: Option<(Arc<Version>, u32)>,
    setback: Option<Setback>,
}

/// A module with instances that wait for requests.
struct Version {
    module: Module,
    warm: Mutex<Vec<Instance>>,
}

/// A version that was taken back.
#[derive(Debug, Clone, PartialEq)]
pub struct Setback {
    /// The version that failed, as it calls itself.
    pub version: String,
    /// What it did.
    pub cause: SandboxError,
}

impl Stage {
    /// Prepares a module with settings, which are JSON, and starts one instance.
    pub fn new(module: Module, settings: &str, limits: Limits) -> Result<Self, SandboxError> {
        let current = Arc::new(Version::start(module, settings, &limits)?);
        let versions = Mutex::new(Versions { current, former: None, setback: None });
        Ok(Self { settings: settings.to_owned(), limits, versions })
    }

    /// What the version that runs says of itself.
    pub fn description(&self) -> Description {
        self.versions().current.module.description().clone()
    }

    /// The version that was last taken back, if one was.
    pub fn setback(&self) -> Option<Setback> {
        self.versions().setback.clone()
    }

    /// Runs one request, for at most `time` and never longer than the limit.
    ///
    /// Where a version on trial does what it must not, the version before it runs again, for this request too.
    pub fn run(&self, inputs: &[Tensor], time: Duration) -> Result<Vec<Tensor>, SandboxError> {
        let started = Instant::now();
        let version = Arc::clone(&self.versions().current);
        let answer = version.run(&self.settings, &self.limits, inputs, time);
        match answer {
            Err(error) if self.is_fault(&error, time) => match self.take_back(&version, &error) {
                Some(former) => {
                    former.run(&self.settings, &self.limits, inputs, time.saturating_sub(started.elapsed()))
                }
                None => Err(error),
            },
            answer => {
                self.note_answer(&version);
                answer
            }
        }
    }

    /// The requests from now on go to this version, on trial; those that run are finished by the one before.
    ///
    /// It has to take and give what that one does, and to start with the same settings: else nothing changes.
    pub fn replace(&self, module: Module) -> Result<(), SandboxError> {
        let (from, to) = (self.description(), module.description().clone());
        if (&from.inputs, &from.outputs) != (&to.inputs, &to.outputs) {
            return Err(SandboxError::OtherPorts { module: module.name(), from: from.version, to: to.version });
        }
        let next = Arc::new(Version::start(module, &self.settings, &self.limits)?);
        let mut versions = self.versions();
        let before = std::mem::replace(&mut versions.current, next);
        // A version that is still on trial itself is nothing to go back to.
        let trusted = versions.former.take().map_or(before, |(former, _)| former);
        versions.former = Some((trusted, TRIAL));
        Ok(())
    }

    /// Whether the module itself is to blame, and not who called it or what it had to work on.
    fn is_fault(&self, error: &SandboxError, time: Duration) -> bool {
        match error {
            // A request that had less time than the limit says nothing of the module.
            SandboxError::Exceeded { exceeded: super::Exceeded::Time(_), .. } => time >= self.limits.time(),
            SandboxError::Failed { failure, .. } => matches!(failure, Failure::Inner(_) | Failure::Tensor(_)),
            SandboxError::Exceeded { .. }
            | SandboxError::Trapped { .. }
            | SandboxError::Interface { .. }
            | SandboxError::Kept { .. }
            | SandboxError::OutputCount { .. }
            | SandboxError::Output { .. }
            | SandboxError::NotANumber { .. } => true,
            _ => false,
        }
    }

    /// The version before `failed`, which runs from now on; none where there is none to go back to.
    fn take_back(&self, failed: &Arc<Version>, cause: &SandboxError) -> Option<Arc<Version>> {
        let mut versions = self.versions();
        if !Arc::ptr_eq(&versions.current, failed) {
            // Another request has seen it fail before.
            return Some(Arc::clone(&versions.current));
        }
        let (former, _) = versions.former.take()?;
        let version = failed.module.description().version.clone();
        tracing::error!("version {version} is taken back: {cause}");
        versions.setback = Some(Setback { version, cause: cause.clone() });
        versions.current = Arc::clone(&former);
        Some(former)
    }

    fn note_answer(&self, version: &Arc<Version>) {
        let mut versions = self.versions();
        if Arc::ptr_eq(&versions.current, version) {
            versions.former =
                versions.former.take().filter(|(_, left)| *left > 1).map(|(former, left)| (former, left - 1));
        }
    }

    fn versions(&self) -> MutexGuard<'_, Versions> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let description = self.description();
        write!(out, "Stage({} {})", description.name, description.version)
    }
}

impl Version {
    /// One with a warm instance.
    fn start(module: Module, settings: &str, limits: &Limits) -> Result<Self, SandboxError> {
        let first = module.start(limits, settings)?;
        Ok(Self { module, warm: Mutex::new(vec![first]) })
    }

    fn run(
        &self,
        settings: &str,
        limits: &Limits,
        inputs: &[Tensor],
        time: Duration,
    ) -> Result<Vec<Tensor>, SandboxError> {
        let warm = self.warm().pop();
        let mut instance = warm.map_or_else(|| self.module.start(limits, settings), Ok)?;
        let answer = instance.run(inputs, time);
        let mut warm = self.warm();
        if !instance.is_spent() && warm.len() < WARM_MAX {
            warm.push(instance);
        }
        answer
    }

    fn warm(&self) -> MutexGuard<'_, Vec<Instance>> {
        self.warm.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
