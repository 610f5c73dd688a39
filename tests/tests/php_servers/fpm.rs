//! php-fpm, asked by FastCGI.

use std::process::Stdio;

use datastore_tests::{Sandbox, binary};

use crate::server::{Server, WORKERS, body};

pub(crate) fn start(sandbox: &Sandbox) -> Server {
    let (room, (extension, library)) = (sandbox.path("web"), binary::php_extension());
    let (socket, log) = (room.join("fpm.sock"), room.join("fpm.log"));
    let pool = format!(
        "[global]\nerror_log = {log}\ndaemonize = no\n[web]\nuser = nobody\ngroup = nogroup\nlisten = {socket}\n\
         listen.mode = 0666\npm = static\npm.max_children = {WORKERS}\n",
        log = log.display(),
        socket = socket.display(),
    );
    let pool = sandbox.write("web/fpm.conf", pool);
    let mut command = sandbox.command("php-fpm8.2");
    command.args(["-n", "-F", "-d", "display_errors=1", "-d", "html_errors=0", "-d"]);
    command.arg(format!("extension={}", extension.display())).arg("-y").arg(pool).env("LD_LIBRARY_PATH", library);
    let page = room.join("page.php");
    let get = move |query: &str| {
        let mut client = std::process::Command::new("cgi-fcgi");
        client.args(["-bind", "-connect"]).arg(&socket).stdin(Stdio::null());
        client.env("SCRIPT_FILENAME", &page).env("REQUEST_METHOD", "GET").env("QUERY_STRING", query);
        let output = client.output().map_err(|why| format!("cgi-fcgi: {why}"))?;
        body(&output.stdout).map_err(|why| format!("{why}, {}", String::from_utf8_lossy(&output.stderr)))
    };
    Server::start(sandbox, command, &log, Box::new(get))
}
