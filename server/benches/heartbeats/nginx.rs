//! nginx, set up as favourably as one worker can be: no log, the file held open, the same certificate and suite.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use epm_protocol::heartbeat::http::SECARS_PATH;

use crate::candidate::{CERTIFICATE, KEY};
use crate::machine::Server;

/// A header that makes nginx answer 304, as the manager does to a client that holds the newest policy.
pub(crate) const UNCHANGED: &str = "If-Modified-Since: Fri, 31 Dec 2100 00:00:00 GMT\r\n";

/// What `nginx -v` says; none where it is not installed.
pub(crate) fn version() -> Option<String> {
    let said = Command::new("nginx").arg("-v").output().ok()?;
    let said = String::from_utf8_lossy(&said.stderr).trim().replace("nginx version: ", "");
    Some(said.replace('/', " "))
}

/// Starts it with this body as a static file at the manager's path. Returns its ports for HTTP and HTTPS, or none where
/// it is not installed or does not start.
pub(crate) fn start(folder: &Path, body: &[u8]) -> Option<(Server, [SocketAddr; 2])> {
    version()?;
    let file = folder.join(SECARS_PATH.trim_start_matches('/'));
    fs::create_dir_all(file.parent()?).ok()?;
    fs::write(&file, body).ok()?;
    let [plain, secure] = free_ports();
    let folder = folder.display();
    let configuration = format!(
        "daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 4096; multi_accept on; }}
http {{
    access_log off; root {folder}; default_type text/xml; etag off; if_modified_since before;
    client_body_temp_path {folder}/body; tcp_nodelay on;
    keepalive_requests 1000000000; keepalive_timeout 1h;
    open_file_cache max=16 inactive=1h; open_file_cache_valid 1h; open_file_cache_min_uses 1;
    ssl_certificate {folder}/{CERTIFICATE}; ssl_certificate_key {folder}/{KEY};
    ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; ssl_conf_command NumTickets 1;
    ssl_ecdh_curve X25519; ssl_session_tickets on;
    server {{ listen {plain}; listen {secure} ssl; }}
}}
"
    );
    let path = format!("{folder}/nginx.conf");
    fs::write(&path, configuration).ok()?;
    let mut server = Server::theirs("nginx", &["-c", &path]).ok()?;
    for _ in 0..200 {
        if TcpStream::connect(secure).is_ok() {
            return Some((server, [plain, secure]));
        }
        if !server.runs() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    println!("nginx does not start, and is left out:");
    println!("{}", fs::read_to_string(format!("{folder}/nginx.log")).unwrap_or_default());
    None
}

/// Two ports that were free a moment ago.
fn free_ports() -> [SocketAddr; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("it is bound"))
}
