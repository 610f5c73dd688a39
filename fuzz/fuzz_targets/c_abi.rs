//! The C library, called in any order with anything that its header allows, and with what it says that it notices: NULL, addresses in the
//! first page, wrong alignment, texts of any bytes. Nothing aborts, nothing leaks (the address sanitizer looks), an output is written on
//! success only, and every error says what is wrong without a defect of ours behind it.
//!
//! The calls look at a small root of their own, as a user without privilege; the real machine is not opened.
#![no_main]

use std::ffi::{c_char, c_void};
use std::path::PathBuf;
use std::ptr;
use std::sync::LazyLock;

use datastore_ffi_as_rust::error::{
    Error, datastore_error_chain, datastore_error_errno, datastore_error_free, datastore_error_hint,
    datastore_error_kind, datastore_error_message,
};
use datastore_ffi_as_rust::goal::{
    Goal, datastore_goal_add_app, datastore_goal_free, datastore_goal_new, datastore_goal_set,
};
use datastore_ffi_as_rust::plan::{
    Plan, datastore_plan, datastore_plan_apply, datastore_plan_free, datastore_plan_load, datastore_plan_save,
    datastore_plan_value, datastore_run,
};
use datastore_ffi_as_rust::store::{
    Store, datastore_candidates, datastore_check, datastore_doctor, datastore_free, datastore_guard, datastore_log,
    datastore_open, datastore_operation, datastore_recover, datastore_status, datastore_usage,
};
use datastore_ffi_as_rust::text::Text;
use datastore_ffi_as_rust::value::{
    Value, datastore_value_at, datastore_value_bool, datastore_value_float, datastore_value_free, datastore_value_get,
    datastore_value_int, datastore_value_kind, datastore_value_len, datastore_value_name, datastore_value_text,
};
use libfuzzer_sys::arbitrary::{Result, Unstructured};

/// The user whom everybody has for nobody.
const NOBODY: u32 = 65534;

/// A root with a little in it, readable by everybody.
static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = tempfile::Builder::new().prefix("datastore-c-abi.").tempdir().expect("a directory").keep();
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    };
    write("etc/datastore.conf", "host = \"h\"\n[volume.data0]\nid = \"11111111-2222-4333-8444-555555555555\"\n");
    write("etc/datastore.d/a.conf", "title = \"A\"\n[mapping.\"/srv/a\"]\ntarget = \"%{base}/a\"\n");
    write("etc/datastore.d/bad.conf", "[mapping.\"/etc\"]\ntarget = \"x\"\n");
    write("etc/fstab", "# nothing\n");
    write("etc/passwd", "root:x:0:0::/:/bin/sh\n");
    write("etc/group", "root:x:0:\n");
    write("store/data0/live/h/a/file", "x");
    write("srv/a/file", "x");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&root, open).expect("it is ours");
    root
});

/// A user without privilege as long as it lives; afterwards whoever it was before.
struct Nobody;

impl Nobody {
    fn new() -> Self {
        // SAFETY: it changes who the process is, and nothing in memory.
        unsafe { libc::seteuid(NOBODY) };
        Self
    }
}

impl Drop for Nobody {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { libc::seteuid(libc::getuid()) };
    }
}

/// What the caller has in hand. What was freed is taken out.
struct Hands<'a, 'b> {
    u: &'a mut Unstructured<'b>,
    stores: Vec<*mut Store>,
    goals: Vec<*mut Goal>,
    plans: Vec<*mut Plan>,
    values: Vec<*mut Value>,
    /// Bytes that texts point to.
    texts: Vec<Box<[u8]>>,
}

/// One of those there, or a pointer that is noticed to be none.
fn one<T>(u: &mut Unstructured<'_>, all: &[*mut T]) -> Result<*mut T> {
    let wrong = [0, 1, 8, 4095];
    if all.is_empty() || u.ratio(1, 16)? {
        return Ok(ptr::without_provenance_mut(*u.choose(&wrong)?));
    }
    let good = *u.choose(all)?;
    Ok(if u.ratio(1, 32)? { good.wrapping_byte_add(1) } else { good })
}

/// Puts what a call made into the list, or frees its error.
fn made<T>(all: &mut Vec<*mut T>, error: *mut Error, out: *mut T) {
    if told(error) {
        assert!(out.is_null(), "an output was written although the call failed");
    } else if !out.is_null() {
        all.push(out);
    }
}

/// Whether it failed. The error says what is wrong, and is freed.
fn told(error: *mut Error) -> bool {
    if error.is_null() {
        return false;
    }
    // SAFETY: the library has just given it.
    unsafe {
        assert!((1..=7).contains(&datastore_error_kind(error)));
        let message = seen(datastore_error_message(error)).expect("there is a message");
        assert!(!message.is_empty() && !message.starts_with("a defect"), "{message}");
        let chain = seen(datastore_error_chain(error)).expect("there is a chain");
        assert!(chain.starts_with(&message) && !chain.contains("a defect of datastore"), "{chain}");
        let _ = (datastore_error_errno(error), seen(datastore_error_hint(error)));
        datastore_error_free(error);
    }
    true
}

/// A text that came out: UTF-8, with a NUL behind it.
fn seen(text: Text) -> Option<String> {
    if text.data.is_null() {
        assert_eq!(text.len, 0);
        return None;
    }
    // SAFETY: so the header has it.
    let bytes = unsafe { std::slice::from_raw_parts(text.data.cast::<u8>(), text.len + 1) };
    let (nul, bytes) = bytes.split_last().expect("a NUL at least");
    assert_eq!(*nul, 0);
    Some(std::str::from_utf8(bytes).expect("texts are UTF-8").to_owned())
}

/// Looks at all of a value, as far as that is no great thing.
fn look(value: *const Value, depth: u32) {
    // SAFETY: the library gave it, and it lives.
    unsafe {
        let kind = datastore_value_kind(value);
        let _ = (datastore_value_bool(value), datastore_value_int(value), datastore_value_float(value));
        assert_eq!(kind == 4, seen(datastore_value_text(value)).is_some());
        let length = datastore_value_len(value);
        assert!(datastore_value_at(value, length).is_null());
        for place in 0..length.min(8) {
            let inside = datastore_value_at(value, place);
            assert!(!inside.is_null());
            let name = datastore_value_name(value, place);
            if seen(name).is_some() {
                assert!(!datastore_value_get(value, name).is_null());
            }
            if depth < 6 {
                look(inside, depth + 1);
            }
        }
    }
}

impl Hands<'_, '_> {
    fn text(&mut self, words: &[&str]) -> Result<Text> {
        let bytes: Vec<u8> = match self.u.int_in_range(0..=15)? {
            0 => return Ok(Text { data: ptr::null(), len: 0 }),
            1 => return Ok(Text { data: ptr::without_provenance(8), len: self.u.int_in_range(0..=9)? }),
            2 => self.u.arbitrary::<&[u8]>()?.to_vec(),
            3 => vec![b'x'; self.u.int_in_range(65_500..=70_000)?],
            4 => [self.u.choose(words)?.as_bytes(), self.u.bytes(1)?].concat(),
            _ => self.u.choose(words)?.as_bytes().to_vec(),
        };
        self.texts.push(bytes.into());
        let bytes = self.texts.last().expect("just pushed");
        Ok(Text { data: bytes.as_ptr().cast::<c_char>(), len: bytes.len() })
    }

    fn app(&mut self) -> Result<Text> {
        self.text(&["a", "bad", "none", "-x", "a/b", ""])
    }

    fn apps(&mut self) -> Result<(Vec<Text>, bool)> {
        let count = self.u.int_in_range(0..=2)?;
        let apps = (0..count).map(|_| self.app()).collect::<Result<_>>()?;
        Ok((apps, self.u.ratio(1, 16)?))
    }

    fn call(&mut self) -> Result<()> {
        let mut store = ptr::null_mut::<Store>();
        let mut goal = ptr::null_mut::<Goal>();
        let mut plan = ptr::null_mut::<Plan>();
        let mut value = ptr::null_mut::<Value>();
        let which = self.u.int_in_range(0..=25)?;
        let at = one(self.u, &self.stores)?;
        // Where the output goes: mostly to where it can.
        let nowhere = self.u.ratio(1, 24)?;
        macro_rules! out {
            ($place:ident) => {
                if nowhere { ptr::without_provenance_mut(*self.u.choose(&[0, 9])?) } else { &raw mut $place }
            };
        }
        // SAFETY: every pointer is one that the library gave and that was not freed, or one that it notices to be none; every text
        // lives until the end of the run.
        unsafe {
            match which {
                0 | 1 => {
                    let root = ROOT.to_str().expect("a plain path");
                    let root = self.text(&[root, root, root, "/nonexistent/x", "relative"])?;
                    // No text means this machine.
                    if root.len == 0
                        || seen_bytes(root).first() == Some(&b'/')
                            && !seen_bytes(root).starts_with(b"/nonexistent")
                            && !seen_bytes(root).starts_with(root_bytes())
                    {
                        return Ok(());
                    }
                    let error = datastore_open(root, out!(store));
                    made(&mut self.stores, error, store);
                }
                2 | 3 => {
                    let verb = self.text(&[
                        "apply", "start", "stop", "restart", "enable", "disable", "import", "move", "reclaim", "x",
                    ])?;
                    let error = datastore_goal_new(verb, out!(goal));
                    made(&mut self.goals, error, goal);
                }
                4 => {
                    let goal = one(self.u, &self.goals)?;
                    told(datastore_goal_add_app(goal, self.app()?));
                }
                5 => {
                    let goal = one(self.u, &self.goals)?;
                    let option = self.text(&[
                        "to",
                        "undo",
                        "keep",
                        "resume",
                        "abort",
                        "max-downtime",
                        "verify",
                        "expired",
                        "x",
                    ])?;
                    let value = self.text(&["data1", "/store/x", "old", "content", "5", "-1", "99999999999"])?;
                    told(datastore_goal_set(goal, option, value));
                }
                6 | 7 => {
                    let error = datastore_plan(at, one(self.u, &self.goals)?, out!(plan));
                    made(&mut self.plans, error, plan);
                }
                8 => {
                    let plan = one(self.u, &self.plans)?;
                    look(datastore_plan_value(plan), 0);
                }
                9 => {
                    assert!(told(datastore_plan_save(at, one(self.u, &self.plans)?)), "nobody may keep a plan");
                }
                10 => {
                    let error = datastore_plan_load(at, self.text(&["0123456789abcdef", "x", ""])?, out!(plan));
                    made(&mut self.plans, error, plan);
                }
                11 => {
                    let plan = one(self.u, &self.plans)?;
                    let error = datastore_plan_apply(at, plan, Some(progress), ptr::null_mut(), out!(value));
                    made(&mut self.values, error, value);
                }
                12 => {
                    let goal = one(self.u, &self.goals)?;
                    let error = datastore_run(at, goal, None, ptr::null_mut(), out!(value));
                    made(&mut self.values, error, value);
                }
                13 => {
                    let error = datastore_check(at, self.app()?, out!(value));
                    made(&mut self.values, error, value);
                }
                14 => {
                    told(datastore_guard(at, self.app()?));
                }
                15 => {
                    let id = self.text(&["20261123T174301250Z-1a020304", "../x", ""])?;
                    let error = datastore_operation(at, id, out!(value));
                    made(&mut self.values, error, value);
                }
                16..=19 => {
                    let call = [datastore_status, datastore_doctor, datastore_log, datastore_usage]
                        [usize::from(which - 16_u8)];
                    let (apps, wrong) = self.apps()?;
                    let list = if wrong { ptr::without_provenance(3) } else { apps.as_ptr() };
                    let count = if wrong { self.u.int_in_range(0..=3)? } else { apps.len() };
                    let error = call(at, list, count, out!(value));
                    made(&mut self.values, error, value);
                }
                20 => {
                    let call = self.u.arbitrary()?;
                    let error = if call {
                        datastore_candidates(at, ptr::null_mut())
                    } else {
                        datastore_recover(at, Some(progress), ptr::null_mut(), out!(value))
                    };
                    made(&mut self.values, error, value);
                }
                21 => look(one(self.u, &self.values)?, 0),
                22 => datastore_free(taken(self.u, &mut self.stores)?),
                23 => datastore_goal_free(taken(self.u, &mut self.goals)?),
                24 => datastore_plan_free(taken(self.u, &mut self.plans)?),
                _ => datastore_value_free(taken(self.u, &mut self.values)?),
            }
        }
        Ok(())
    }
}

/// One of those there, which is in nobody's hands any more; or one that is noticed to be none.
fn taken<T>(u: &mut Unstructured<'_>, all: &mut Vec<*mut T>) -> Result<*mut T> {
    if all.is_empty() || u.ratio(1, 16)? {
        return Ok(ptr::without_provenance_mut(*u.choose(&[0, 1, 4095])?));
    }
    let place = u.choose_index(all.len())?;
    Ok(all.swap_remove(place))
}

fn root_bytes() -> &'static [u8] {
    ROOT.to_str().expect("a plain path").as_bytes()
}

/// The bytes of a text of ours.
fn seen_bytes<'a>(text: Text) -> &'a [u8] {
    if text.data.addr() < 4096 {
        return b"";
    }
    // SAFETY: it is one of `Hands::texts`.
    unsafe { std::slice::from_raw_parts(text.data.cast(), text.len) }
}

unsafe extern "C" fn progress(_: *mut c_void, event: *const Value) {
    look(event, 0);
}

/// Makes the root, and has every panic end the run: also those that the library would make an error of.
fn prepare() {
    LazyLock::force(&ROOT);
    // The first call keeps panics quiet, so whoever wants to hear of them comes after it.
    // SAFETY: NULL is no value.
    let _ = unsafe { datastore_value_kind(ptr::null()) };
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        std::process::abort();
    }));
}

libfuzzer_sys::fuzz_target!(init: { prepare(); }, |data: &[u8]| {
    let mut u = Unstructured::new(data);
    let _nobody = Nobody::new();
    let mut hands = Hands {
        u: &mut u,
        stores: Vec::new(),
        goals: Vec::new(),
        plans: Vec::new(),
        values: Vec::new(),
        texts: Vec::new(),
    };
    for _ in 0..32 {
        if hands.u.is_empty() || hands.call().is_err() {
            break;
        }
    }
    // SAFETY: nobody has these any more. Whatever the library keeps beside them is a leak.
    unsafe {
        hands.values.drain(..).for_each(|value| datastore_value_free(value));
        hands.plans.drain(..).for_each(|plan| datastore_plan_free(plan));
        hands.goals.drain(..).for_each(|goal| datastore_goal_free(goal));
        hands.stores.drain(..).for_each(|store| datastore_free(store));
    }
});
