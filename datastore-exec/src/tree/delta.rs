//! provisional
use super::dirty::Changes;
use super::map::Map;
use super::update::{Changed, update};
use super::{Control, TreeError};
use std::os::fd::OwnedFd;
/// provisional
pub fn delta(
    from: &OwnedFd,
    to: &OwnedFd,
    _: &Changes,
    map: &Map,
    control: &Control<'_>,
) -> Result<(Changed, Vec<Vec<u8>>), TreeError> {
    Ok((update(from, to, Some(map), control)?, Vec::new()))
}
