//! Random bytes from the kernel (getrandom(2), Linux 3.17; before, `/dev/urandom`, random(4)).

use datastore_core::Error;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::rand::GetRandomFlags;

use super::error::{Call, FdName, SysError};

/// Fills a short buffer; up to 256 bytes come at once.
pub fn fill(buffer: &mut [u8]) -> Result<(), Error> {
    let failed = |errno| {
        let flags = OFlags::RDONLY;
        let call = Call::Open { path: "/dev/urandom".into(), flags };
        SysError::new(call, errno).because("the kernel gives no random numbers")
    };
    match rustix::rand::getrandom(&mut *buffer, GetRandomFlags::empty()) {
        Ok(length) if length == buffer.len() => return Ok(()),
        Ok(_) => return Err(failed(Errno::AGAIN)),
        Err(Errno::NOSYS) => {}
        Err(errno) => return Err(failed(errno)),
    }
    let file = rustix::fs::open("/dev/urandom", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    let length = buffer.len();
    match rustix::io::read(&file, &mut *buffer) {
        Ok(read) if read == length => Ok(()),
        Ok(_) => Err(failed(Errno::AGAIN)),
        Err(errno) => {
            let call = Call::Read { fd: FdName::of(&file) };
            Err(SysError::new(call, errno).because("the kernel gives no random numbers"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::without;

    #[test]
    fn two_draws_differ_on_old_kernels_too() {
        for calls in [&[][..], &[libc::SYS_getrandom]] {
            let (first, second) = without(calls, || {
                let (mut first, mut second) = ([0; 16], [0; 16]);
                fill(&mut first).unwrap();
                fill(&mut second).unwrap();
                (first, second)
            });
            assert_ne!(first, second);
        }
    }
}
