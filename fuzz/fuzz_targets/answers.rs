//! The file that answers the questions of `init`, from any text: what is accepted names a volume in one way, and nothing unknown.
#![no_main]

#[allow(dead_code, reason = "what opens the file is not tried here")]
#[path = "../../datastore-cli/src/commands/init/answers/file.rs"]
mod file;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match file::parse(text) {
        Ok(file) => {
            assert!(file.device.is_none() || file.directory.is_none());
            assert!(file.format.is_none() || file.device.is_some());
            assert!(file.format.as_deref().is_none_or(|format| ["ext4", "xfs", "btrfs"].contains(&format)));
            let _ = (file.host, file.volume, file.import, file.enable);
        }
        Err(why) => assert!(!why.chars().any(char::is_control), "{why:?}"),
    }
});
