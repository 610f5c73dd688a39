//! Apache with mod_php, asked by HTTP.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use datastore_tests::server::free_address;
use datastore_tests::{Sandbox, binary};

use crate::server::{Server, WORKERS, body};

const MODULES: &str = "/usr/lib/apache2/modules";

pub(crate) fn start(sandbox: &Sandbox) -> Server {
    let (room, (extension, library)) = (sandbox.path("web"), binary::php_extension());
    let log = room.join("apache.log");
    let free = free_address();
    let configuration = format!(
        "ServerName localhost\nServerRoot {room}\nDefaultRuntimeDir {room}\nPidFile {room}/apache.pid\nListen {free}\n\
         LoadModule mpm_prefork_module {MODULES}/mod_mpm_prefork.so\n\
         LoadModule authz_core_module {MODULES}/mod_authz_core.so\nLoadModule php_module {MODULES}/libphp8.2.so\n\
         User nobody\nGroup nogroup\nDocumentRoot {room}\nErrorLog {log}\nPHPINIDir {room}\nKeepAlive Off\n\
         StartServers {WORKERS}\nMinSpareServers {WORKERS}\nMaxSpareServers {WORKERS}\nMaxRequestWorkers {WORKERS}\n\
         <FilesMatch \"\\.php$\">\nSetHandler application/x-httpd-php\n</FilesMatch>\n",
        room = room.display(),
        log = log.display(),
    );
    let configuration = sandbox.write("web/apache.conf", configuration);
    let ini = format!("display_errors=1\nhtml_errors=0\nextension={}\n", extension.display());
    sandbox.write("web/php.ini", ini);
    let mut command = sandbox.command("apache2");
    command.args(["-D", "FOREGROUND", "-f"]).arg(configuration);
    // The extensions of this machine are no part of the test.
    command.env("PHP_INI_SCAN_DIR", "/nowhere").env("LD_LIBRARY_PATH", library);
    let get = move |query: &str| {
        let ask = || -> std::io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect(free)?;
            write!(stream, "GET /page.php?{query} HTTP/1.0\r\n\r\n")?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(answer)
        };
        body(&ask().map_err(|why| why.to_string())?)
    };
    Server::start(sandbox, command, &log, Box::new(get))
}
