//! Foreign clients, which share no code with the lab: python3 and curl.

use std::net::SocketAddr;
use std::process::Command as Process;

use epm_fixtures::output;

/// The path of the browser test.
pub const HELLO: &str = "/secars/secars.dll?hello,secars";

/// Makes the browser test, in the way of the first argument, and prints the result in one line.
const PROBE: &str = r#"
import errno, http.client, socket, ssl, sys, time
way, host, port, source = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
HELLO = "/secars/secars.dll?hello,secars"
REQUEST = ("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % HELLO).encode()
began = time.monotonic()

def context():
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.set_ciphers("DEFAULT@SECLEVEL=0")
    return made

def connected():
    return socket.create_connection((host, port), 10, (source, 0))

def all_of(stream):
    got = b""
    while True:
        piece = stream.recv(65536)
        if not piece:
            return got
        got += piece

def ask():
    if way in ("http", "https"):
        if way == "http":
            asked = http.client.HTTPConnection(host, port, 10, (source, 0))
        else:
            asked = http.client.HTTPSConnection(host, port, timeout=10, source_address=(source, 0), context=context())
        asked.request("GET", HELLO)
        answer = asked.getresponse()
        body = answer.read()
        kept = ("retry-after", "location", "content-type", "date")
        heads = ["%s=%s" % (k.lower(), v) for k, v in answer.getheaders() if k.lower() in kept]
        return " ".join([str(answer.status), repr(body)] + heads)
    if way == "certificate":
        with context().wrap_socket(connected()) as stream:
            return stream.getpeercert(True).hex()
    stream = connected()
    if way in ("silent", "impatient"):
        stream.settimeout(0.5)
    if way == "silent":      # says nothing, and hears
        return repr(stream.recv(100))
    stream.sendall(REQUEST)
    return repr(all_of(stream))

try:
    said = ask()
except Exception as error:
    number = errno.errorcode.get(error.errno, "") if isinstance(error, OSError) and error.errno else ""
    reason = getattr(error, "reason", "") or ""
    said = " ".join(str(one) for one in (type(error).__name__, number, reason, error) if one)
print("%d" % ((time.monotonic() - began) * 1000), said)
"#;

/// The result of a foreign client.
#[derive(Clone, Debug)]
pub struct Said {
    /// The duration in milliseconds.
    pub ms: u64,
    /// The output of the client.
    pub words: String,
}

/// Makes the browser test with Python from this address: over `http`, `https`, or a socket of its own (`raw`, `silent`,
/// `impatient`); or prints the `certificate` that it is shown.
pub fn python(way: &str, to: SocketAddr, source: &str) -> Said {
    let (host, port) = (to.ip().to_string(), to.port().to_string());
    let out = output(Process::new("python3").args(["-c", PROBE, way, &host, &port, source]));
    let line = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    let (ms, words) = line.split_once(' ').unwrap_or_else(|| panic!("python3 said {out:?}"));
    Said { ms: ms.parse().expect("a number"), words: words.to_owned() }
}

/// The exit code of curl for the browser test.
pub fn curl(scheme: &str, to: SocketAddr) -> i32 {
    let address = format!("{scheme}://{to}{HELLO}");
    let flags = ["-sS", "--insecure", "--max-time", "10", "--output", "/dev/null", &address];
    output(Process::new("curl").args(flags)).status.code().expect("curl ends by itself")
}
