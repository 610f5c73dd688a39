//! The PHP extension, on real mounts: what it leaves behind, and which library it takes. What it says is the matter of `parity`.

use std::process::Command;

use datastore_tests::{Run, Sandbox, binary, documents, repository, scenes};
use serde_json::Value;

const SHOP: &str = "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n";

/// PHP with the extension alone, which runs this in the sandbox; `$store` is open.
fn php(sandbox: &Sandbox, script: &str) -> Command {
    with(sandbox, &["php"], &binary::php_extension().1, script)
}

fn with(sandbox: &Sandbox, program: &[&str], library: &std::path::Path, script: &str) -> Command {
    let mut command = sandbox.command(program[0]);
    command.args(&program[1..]).args(["-n", "-d", "display_errors=stderr", "-d"]);
    command.arg(format!("extension={}", binary::php_extension().0.display()));
    let open = format!("$root = '{}'; $store = new Datastore\\Store($root);", sandbox.root().display());
    command.arg("-r").arg(format!("{open} {script}")).env("LD_LIBRARY_PATH", library);
    command
}

#[track_caller]
fn run(sandbox: &Sandbox, script: &str) -> Run {
    sandbox.run(php(sandbox, script))
}

/// Two volumes, and an app with data on the first one.
fn machine() -> Sandbox {
    scenes::shop(SHOP, &["/var/shop"], "ext4", 64)
}

#[test]
fn phpinfo_shows_both_versions() {
    let sandbox = Sandbox::new();
    let told = run(&sandbox, "(new ReflectionExtension('datastore'))->info();").ok();
    let version = env!("CARGO_PKG_VERSION");
    told.says(&format!("extension version => {version}")).says(&format!("libdatastore version => {version}"));
}

#[test]
fn another_abi_is_refused_with_a_message() {
    let dir = tempfile::tempdir().expect("a directory");
    let source = dir.path().join("other.c");
    let header = repository("include/datastore.h");
    let mut text = String::from(
        "unsigned datastore_abi(void) { return 99; }\nstruct text { const char *data; unsigned long len; };\n\
         struct text datastore_version(void) { struct text text = {\"9.9.9\", 5}; return text; }\n",
    );
    for name in documents::declared(&std::fs::read_to_string(header).expect("the header")) {
        if !matches!(&*name, "datastore_abi" | "datastore_version" | "datastore_text") {
            text.push_str(&format!("void {name}(void) {{}}\n"));
        }
    }
    std::fs::write(&source, text).expect("write");
    let library = dir.path().join("libdatastore.so.0");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
    assert!(cc.status().expect("run cc").success());
    let sandbox = Sandbox::new();
    let told = sandbox.run(with(&sandbox, &["php"], dir.path(), "echo 'never';")).fails();
    let message = "libdatastore 9.9.9 has the ABI 99, and this extension was built for 0: install both of one version";
    assert!(told.stderr.contains(message), "{}", told.stderr);
}

#[test]
fn valgrind_finds_nothing() {
    let sandbox = machine();
    let script = "for ($i = 0; $i < 3; $i++) {
            $store->status(); $store->check(); $plan = $store->plan('stop', ['shop']); $plan->toArray();
            foreach (['nobody', \"a\\0b\"] as $app) {
                try { $store->guard($app); } catch (Datastore\\Exception $e) { $e->getHint(); }
            }
            try { new Datastore\\Store('/nowhere'); } catch (Datastore\\Exception $e) { }
            try { $store->plan('stop', [1]); } catch (Datastore\\Exception $e) { }
            try { $store->plan('move', ['shop'], ['to' => []]); } catch (Datastore\\Exception $e) { }
        }
        $store->apply($plan, function (array $event) { throw new Exception('no'); });";
    let suppressions = format!("--suppressions={}", repository("tests/c/valgrind.supp").display());
    let valgrind = [
        "valgrind",
        "-q",
        "--leak-check=full",
        "--show-leak-kinds=definite",
        "--error-exitcode=98",
        &suppressions,
        "php",
    ];
    let mut command = with(&sandbox, &valgrind, &binary::php_extension().1, script);
    command.env("USE_ZEND_ALLOC", "0").env("ZEND_DONT_UNLOAD_MODULES", "1");
    let run = sandbox.run(command);
    assert!(!run.stderr.contains("=="), "{}", run.stderr);
    assert!(run.stderr.contains("Uncaught Exception: no"), "{}", run.stderr);
    sandbox.is("/var/shop", "inactive");
}

#[test]
fn memory_stays_flat() {
    let sandbox = machine();
    let script = "$rss = function () {
            preg_match('/VmRSS:\\s+(\\d+)/', file_get_contents('/proc/self/status'), $found); return (int)$found[1];
        };
        $work = function (int $times) use ($store) {
            for ($i = 0; $i < $times; $i++) {
                try { $store->guard('nobody'); } catch (Datastore\\Exception $e) { }
                if ($i % 20 == 0) { $store->status(); $store->plan('stop', ['shop'])->toArray(); }
            }
        };
        $work(1000); $before = $rss(); $work(6000);
        echo json_encode(['before' => $before, 'after' => $rss()]);";
    let told = run(&sandbox, script).ok().json();
    let kib = |name: &str| told[name].as_u64().expect("a number");
    assert!(kib("after") < kib("before") + 512, "{told}");
    assert!(matches!(told["before"], Value::Number(_)));
}
