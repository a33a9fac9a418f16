//! Device profiles that users keep in files.

use std::path::Path;

use thalweg_devices::device::DeviceProfile;

use super::error::RunError;
use crate::config;

/// Reads a profile that [`print_profile`] has printed, or that somebody has written.
pub fn read_profile(file: &Path) -> Result<DeviceProfile, RunError> {
    Ok(config::device_file(file)?)
}

/// The profile as a file.
pub fn print_profile(profile: &DeviceProfile) -> Result<String, RunError> {
    toml::to_string(profile).map_err(|cause| RunError::Profile { cause: cause.to_string() })
}
