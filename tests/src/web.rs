//! A server that shows the web page of the data store: PHP as a user without privilege, and the one command that sudo lets it run as root.

mod visitor;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::mount::MountFlags;

use crate::command::Run;
use crate::server::{Server, free_address};
use crate::{Sandbox, binary, repository};

pub use visitor::{Answer, Visitor};

/// The user that PHP runs as, and its number.
const USER: (&str, u32) = ("webconfig", 800);
/// Where the pages are.
const PAGES: &str = "/usr/share/datastore-web";
/// What PHP writes: sessions, and what comes of what it has begun.
const OWN: &str = "/var/lib/datastore-web";
/// Who knows this is let in.
const TOKEN: &str = "a-token-for-tests-and-for-the-tour";
/// What root lets the web user do.
const SUDOERS: &str = "Defaults !syslog\nwebconfig ALL=(root) NOPASSWD: /usr/sbin/datastore-webconfig\n";
/// sudo asks PAM whether the account is in order.
const PAM: &str = "account required pam_permit.so\nsession required pam_permit.so\nauth required pam_deny.so\n";
/// What the page may add.
const POLICY: &str = "\n[config_add]\nmount_points = [\"/srv\"]\n";
/// It takes no longer to begin, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What runs in it.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The command.
    pub datastore: PathBuf,
    /// The one command that sudo lets PHP's user run.
    pub gate: PathBuf,
    /// The extension.
    pub extension: PathBuf,
    /// The C library.
    pub library: PathBuf,
}

impl Programs {
    /// Those of this build.
    ///
    /// # Panics
    /// If they are not built.
    #[must_use]
    pub fn built() -> Self {
        let (extension, library) = binary::php_extension();
        let library = library.join("libdatastore.so.0").canonicalize().expect("the C library");
        Self { datastore: binary::datastore(), gate: binary::gate(), extension, library }
    }
}

/// The server. It ends with this value.
#[derive(Debug)]
pub struct Web {
    // In the order in which they must go.
    php: Child,
    server: Server,
    port: u16,
}

impl Drop for Web {
    fn drop(&mut self) {
        // `unshare --kill-child` takes everything with it.
        let _ = self.php.kill();
        let _ = self.php.wait();
    }
}

impl Web {
    /// A server with these empty disks, the first of which is volume `data0`, and the next ones as many as are named in `volumes`.
    ///
    /// # Panics
    /// If it cannot be made, or its page is not served. A test that cannot have its server must not pass.
    #[must_use]
    #[track_caller]
    pub fn new(disks: &[(&str, u64)], volumes: usize) -> Self {
        Self::at(free_address().port(), &Programs::built(), disks, volumes)
    }

    /// The same with other programs than those of this build.
    ///
    /// # Panics
    /// As [`Web::new`].
    #[must_use]
    #[track_caller]
    pub fn of(programs: &Programs, disks: &[(&str, u64)], volumes: usize) -> Self {
        Self::at(free_address().port(), programs, disks, volumes)
    }

    /// The same at a port of one's choice.
    ///
    /// # Panics
    /// As [`Web::new`].
    #[must_use]
    #[track_caller]
    pub fn at(port: u16, programs: &Programs, disks: &[(&str, u64)], volumes: usize) -> Self {
        let server = Server::new(disks);
        furnish(&server, programs);
        // The shell stays, as root: who changes its user forgets that it was to end with the test. Whoever kills PHP has it started again.
        let begin = format!(
            "exec 2>/dev/null
             while setpriv --reuid {id} --regid {id} --clear-groups env PHP_CLI_SERVER_WORKERS=4 \
             DATASTORE_WEB_TMP={OWN} DATASTORE_WEB_TOKEN=/etc/datastore-web.token LD_LIBRARY_PATH=/usr/local/lib \
             php -n -d extension=/usr/local/lib/datastore.so -d error_log=/dev/stderr \
             -S 127.0.0.1:PORT {PAGES}/standin/index.php 2>&1; [ $? -gt 128 ]; do :; done; exit",
            id = USER.1
        );
        let mut command = server.inside(&begin.replace("PORT", &port.to_string()));
        let log = fs::File::create(server.sandbox.path("/var/log/php")).expect("a log for PHP");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log for PHP")).stderr(log);
        let php = command.spawn().expect("start unshare");
        let mut web = Self { php, server, port };
        web.wait();
        for (n, (disk, _)) in disks.iter().take(volumes).enumerate() {
            let device = format!("/dev/{disk}");
            let name = format!("data{n}");
            let add: &[&str] = if n == 0 { &["init", "--host", "server1"] } else { &["volume", "add", &name] };
            web.datastore(&[add, &["--device", &device, "--format", "ext4", "--yes"]].concat()).ok();
        }
        let config = web.sandbox().read("/etc/datastore.conf");
        web.sandbox().write("/etc/datastore.conf", config + POLICY);
        web
    }

    /// Its root.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        &self.server.sandbox
    }

    /// Runs `datastore ARGUMENT...` in it, as root.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn datastore(&self, args: &[&str]) -> Run {
        let words: Vec<String> = args.iter().map(|word| format!("'{word}'")).collect();
        self.root(&format!("exec datastore {}", words.join(" ")))
    }

    /// Runs a line of shell in it, as root.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn root(&self, line: &str) -> Run {
        self.sandbox().run(self.server.beside(&self.php, line))
    }

    /// The same as the user that PHP runs as.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn user(&self, line: &str) -> Run {
        let line = line.replace('\'', r"'\''");
        self.root(&format!("exec setpriv --reuid {0} --regid {0} --clear-groups bash -c '{line}'", USER.1))
    }

    /// The address that lets one in.
    #[must_use]
    pub fn entry(&self) -> String {
        format!("{}/?token={TOKEN}", self.address())
    }

    /// The address of its pages.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What PHP grumbled about, but for the requests that it notes.
    #[must_use]
    pub fn grumbles(&self) -> Vec<String> {
        let log = self.sandbox().read("/var/log/php");
        let is_usual = |line: &str| {
            let usual = ["Development Server (", "] Accepted", "] Closing", "]: GET /", "]: POST /", "] 127.0.0.1:"];
            usual.iter().any(|words| line.contains(words))
        };
        log.lines().filter(|line| !is_usual(line)).map(str::to_owned).collect()
    }

    /// Kills PHP, and waits until it has been started again and answers.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn restart_php(&self) {
        let old = self.root("pgrep -x php | tr '\\n' ' '").ok().stdout;
        self.root(&format!("kill -KILL {old}; while kill -0 {old} 2>/dev/null; do :; done")).ok();
        let begun = Instant::now();
        while !self.answers() {
            assert!(begun.elapsed() < PATIENCE, "PHP is not started again");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn answers(&self) -> bool {
        TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))).is_ok()
    }

    /// Waits until it answers.
    #[track_caller]
    fn wait(&mut self) {
        let begun = Instant::now();
        while !self.answers() {
            let ended = self.php.try_wait().expect("look at PHP");
            let log = || fs::read_to_string(self.server.sandbox.path("/var/log/php")).unwrap_or_default();
            assert!(ended.is_none(), "PHP has ended: {ended:?}\n{}", log());
            assert!(begun.elapsed() < PATIENCE, "PHP does not answer\n{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Somebody who has been let in.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    #[track_caller]
    pub fn visitor(&self) -> Visitor<'_> {
        let visitor = self.stranger();
        assert_eq!(visitor.get(&format!("/?token={TOKEN}")).status, 303);
        visitor
    }

    /// Somebody who has not.
    #[must_use]
    pub fn stranger(&self) -> Visitor<'_> {
        Visitor::new(self)
    }
}

/// What the server has beside its disks.
fn furnish(server: &Server, programs: &Programs) {
    let sandbox = &server.sandbox;
    // sudo's plugins, which program `php` is, time zones, and our pages.
    server.also(&["/usr/libexec/sudo", "/etc/alternatives", "/usr/share/zoneinfo"]);
    let pages = sandbox.path(PAGES);
    fs::create_dir_all(&pages).expect("a directory for the pages");
    rustix::mount::mount_bind(repository("webconfig"), &pages).expect("bind the pages");
    sandbox.read_only(PAGES);
    beside_the_machines(sandbox, "/usr/sbin");
    for (program, name) in [(&programs.datastore, "datastore"), (&programs.gate, "datastore-webconfig")] {
        let to = sandbox.path(format!("/usr/sbin/{name}"));
        fs::copy(program, &to).unwrap_or_else(|e| panic!("copy {}: {e}", program.display()));
    }
    server.put(&programs.extension, "/usr/local/lib/datastore.so");
    server.put(&programs.library, "/usr/local/lib/libdatastore.so.0");

    let (user, id) = USER;
    for (file, line) in
        [("/etc/passwd", format!("{user}:x:{id}:{id}::/:/bin/sh\n")), ("/etc/group", format!("{user}:x:{id}:\n"))]
    {
        let text = sandbox.read(file);
        sandbox.write(file, text + &line);
    }
    sandbox.write("/etc/hosts", "127.0.0.1 localhost server1\n");
    sandbox.write("/etc/pam.d/sudo", PAM);
    let sudoers = sandbox.write("/etc/sudoers", SUDOERS);
    fs::set_permissions(sudoers, fs::Permissions::from_mode(0o440)).expect("mode of /etc/sudoers");
    let token = sandbox.write("/etc/datastore-web.token", format!("{TOKEN}\n"));
    chown(&token, Some(0), Some(id)).expect("group of the token");
    fs::set_permissions(token, fs::Permissions::from_mode(0o640)).expect("mode of the token");
    let own = sandbox.path(OWN);
    fs::create_dir(&own).expect("a directory for PHP");
    chown(&own, Some(id), Some(id)).expect("owner of a directory");
    fs::set_permissions(own, fs::Permissions::from_mode(0o700)).expect("mode of a directory");
}

/// Lets files be put beside the machine's, which stay as they are.
fn beside_the_machines(sandbox: &Sandbox, directory: &str) {
    let own = |name: &str| {
        let path = sandbox.path(format!("/var/tmp/{name}"));
        fs::create_dir(&path).expect("a directory for an overlay");
        path.display().to_string()
    };
    let options = format!("lowerdir={directory},upperdir={},workdir={}", own("upper"), own("work"));
    let options = std::ffi::CString::new(options).expect("no NUL in a path");
    rustix::mount::mount("overlay", sandbox.path(directory), "overlay", MountFlags::empty(), options.as_c_str())
        .unwrap_or_else(|e| panic!("mount an overlay on {directory}: {e}"));
}
