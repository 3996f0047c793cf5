//! Files of a manager's services, given to the lab and to the servers that the product uses: Apache and Tomcat from Debian. What
//! they serve the lab serves, and where they do not start, the lab's service does not start and says so with the same codes.

use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};

use epm_fixtures::{needs, output, root, until};
use epm_server::{MockSite, Service};
use epm_tests::MANAGER;
use tempfile::TempDir;

const CRT: &str = "apache/conf/ssl/server.crt";
const KEY: &str = "apache/conf/ssl/server.key";
const XML: &str = "tomcat/conf/server.xml";
const PASSWORD: &str = "storepw1";

fn run(program: &str, arguments: &[&str]) -> String {
    let out = output(Process::new(program).args(arguments));
    assert!(out.status.success(), "{program} {arguments:?}: {out:?}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The certificates that a server sends, as PEM; none if there is no handshake.
fn sent(port: u16) -> Option<String> {
    let script = "exec openssl s_client -showcerts -connect \"$1\" </dev/null 2>/dev/null";
    let out = output(Process::new("sh").args(["-c", script, "sh", &format!("127.0.0.1:{port}")]));
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let is_in = |inside: &mut bool, line: &str| {
        *inside |= line.starts_with("-----BEGIN CERT");
        let is = *inside;
        *inside &= !line.starts_with("-----END CERT");
        Some(is.then(|| format!("{line}\n")))
    };
    let pem: String = said.lines().scan(false, is_in).flatten().collect();
    (!pem.is_empty()).then_some(pem)
}

// ------------------------------------------------------------------------------------------------------------- Apache

/// A row of the table: its name, the file of the certificate, and that of the key.
type Pair = (String, Option<Vec<u8>>, Option<Vec<u8>>);

/// What a web server makes of its files: what it sends, or the codes that it logs.
#[derive(Debug, PartialEq, Eq)]
enum Made {
    Sends(String),
    Logs(BTreeSet<String>),
}

/// The codes by which the web server says that it does not start.
const CODES: [&str; 7] = ["AH00526", "AH02312", "AH02562", "AH02564", "AH02565", "AH02578", "AH02579"];

fn codes(log: &str) -> Made {
    Made::Logs(CODES.iter().filter(|code| log.contains(*code)).map(|code| (*code).to_owned()).collect())
}

/// A process that is killed when this is dropped.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs Apache with these files, without children, until it serves or has ended.
fn apache(folder: &Path, certificate: Option<&[u8]>, key: Option<&[u8]>) -> Made {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).unwrap();
    let place = |name: &str| folder.join(name);
    for (name, content) in [("server.crt", certificate), ("server.key", key)] {
        if let Some(content) = content {
            fs::write(place(name), content).unwrap();
        }
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let here = text(folder);
    let modules = "/usr/lib/apache2/modules";
    let conf = format!(
        "ServerRoot {here}\nServerName 127.0.0.1\nPidFile {here}/pid\nDefaultRuntimeDir {here}\nUser nobody\n\
         Group nogroup\nListen 127.0.0.1:{port}\nLoadModule mpm_event_module {modules}/mod_mpm_event.so\n\
         LoadModule authz_core_module {modules}/mod_authz_core.so\nLoadModule ssl_module {modules}/mod_ssl.so\n\
         ErrorLog {here}/error.log\nSSLSessionCache none\n<VirtualHost *:{port}>\nSSLEngine on\n\
         SSLCertificateFile {here}/server.crt\nSSLCertificateKeyFile {here}/server.key\n</VirtualHost>\n"
    );
    fs::write(place("conf"), conf).unwrap();
    let errors = fs::File::create(place("stderr")).unwrap();
    let mut process = Process::new("setsid"); // without a terminal that it could ask for a password
    process.args(["apache2", "-X", "-f", text(&place("conf"))]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut running = Ending(process.stderr(errors).spawn().unwrap());
    until("apache2 serves or ends", || match running.0.try_wait().unwrap() {
        Some(_) => {
            let log = |name: &str| fs::read_to_string(place(name)).unwrap_or_default();
            Some(codes(&(log("stderr") + &log("error.log"))))
        }
        // A connection can wait until the server is ready, or is reset.
        None => TcpStream::connect(("127.0.0.1", port)).ok().and_then(|_| sent(port)).map(Made::Sends),
    })
}

/// The lab with an installation folder.
struct Installed {
    site: MockSite,
    root: PathBuf,
}

impl Installed {
    async fn at(root: &Path) -> Self {
        let site = MockSite::builder().rest_api(0).start().await.unwrap();
        site.install(MANAGER, root, false).unwrap();
        Self { site, root: root.to_owned() }
    }

    fn put(&self, path: &str, content: Option<&[u8]>) {
        let place = self.root.join(path);
        match content {
            Some(content) => fs::write(place, content).unwrap(),
            None => drop(fs::remove_file(place)),
        }
    }

    fn port(&self, of: &str) -> u16 {
        let place = &self.site.addresses_now()[0];
        let url = if of == "rest" { place.rest.as_ref().unwrap() } else { &place.https };
        url.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Restarts the web server with these files.
    fn web_server(&self, certificate: Option<&[u8]>, key: Option<&[u8]>) -> Made {
        self.put(CRT, certificate);
        self.put(KEY, key);
        let logs = self.root.join("apache/logs");
        let _ = fs::remove_dir_all(&logs);
        assert!(self.site.restart(MANAGER, Some(Service::Semwebsrv)));
        if let Some(pem) = sent(self.port("https")) {
            return Made::Sends(pem);
        }
        let log: String =
            fs::read_dir(logs).unwrap().map(|one| fs::read_to_string(one.unwrap().path()).unwrap()).collect();
        assert!(!log.contains("PRIVATE KEY"), "{log}");
        codes(&log)
    }
}

/// Makes keys and certificates of many kinds.
const MAKE: &str = r"
set -e
pair() { name=$1; shift; openssl req -x509 -nodes -days 30 -subj /CN=$name -keyout $name.key -out $name.crt $@; }
pair one -newkey rsa:2048
pair other -newkey rsa:2048
pair short -newkey rsa:1024
for hash in sha1 md5; do
  cp one.key $hash.key
  openssl req -x509 -$hash -days 30 -subj /CN=$hash -key one.key -out $hash.crt
done
openssl x509 -in one.crt -outform DER -out one.crt.der
openssl x509 -in one.crt -trustout -addtrust serverAuth -out one.trusted
openssl rsa -in one.key -outform DER -out one.key.der
openssl rsa -in other.key -outform DER -out other.key.der
openssl rsa -in one.key -traditional -out one.key.old
openssl pkcs8 -topk8 -in one.key -passout pass:x -out one.key.locked
openssl rsa -in one.key -aes128 -traditional -passout pass:x -out one.key.locked.old
openssl rsa -in one.key -pubout -out one.pub
openssl pkcs12 -export -in one.crt -inkey one.key -passout pass:x -out one.p12
openssl crl2pkcs7 -nocrl -certfile one.crt -out one.p7b
openssl ecparam -name prime256v1 -genkey -noout -out ec.key
for hash in sha1 sha256; do
  cp one.key by-$hash.key
  openssl req -new -key one.key -subj /CN=by-$hash -out request
  echo subjectAltName=DNS:by-$hash > extensions
  openssl x509 -req -in request -CA other.crt -CAkey other.key -CAcreateserial -$hash -days 30 -out by-$hash.crt \
    -extfile extensions
done
";

#[needs(apache2, openssl, setsid)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::too_many_lines, reason = "it is a table")]
async fn with_any_files_the_web_server_does_what_apache_does() {
    let folder = TempDir::new().unwrap();
    let made = output(Process::new("sh").args(["-c", MAKE]).current_dir(folder.path()));
    assert!(made.status.success(), "{made:?}");
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    let (crt, key, other) = (read("one.crt"), read("one.key"), read("other.crt"));
    let lines = |pem: &[u8], with: &dyn Fn(usize, &str) -> String| -> Vec<u8> {
        let text = String::from_utf8(pem.to_vec()).unwrap();
        text.lines().enumerate().map(|(number, line)| with(number, line)).collect::<String>().into_bytes()
    };
    let joined = |parts: &[&[u8]]| parts.concat();
    let instead = |pem: &[u8], from: &str, to: &str| {
        String::from_utf8(pem.to_vec()).unwrap().replace(from, to).into_bytes()
    };
    let one_line = |pem: &[u8]| {
        let text = String::from_utf8(pem.to_vec()).unwrap();
        let inner: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        let (first, last) = (text.lines().next().unwrap(), text.lines().last().unwrap());
        format!("{first}\n{inner}\n{last}\n").into_bytes()
    };
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let broken_key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let bare = String::from_utf8(key.clone()).unwrap();
    let bare: String =
        bare.lines().filter(|line| !line.starts_with('-')).map(|line| format!("{line}\n")).collect();
    let certificates: Vec<(&str, Option<Vec<u8>>)> = vec![
        ("as it is", Some(crt.clone())),
        ("missing", None),
        ("empty", Some(Vec::new())),
        ("blank", Some(b"\n\n".to_vec())),
        ("der", Some(read("one.crt.der"))),
        ("pkcs12", Some(read("one.p12"))),
        ("pkcs7", Some(read("one.p7b"))),
        (
            "utf-16",
            Some(String::from_utf8(crt.clone()).unwrap().encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ),
        ("trusted", Some(read("one.trusted"))),
        ("trusted under the plain label", Some(instead(&read("one.trusted"), "TRUSTED ", ""))),
        ("plain under the trusted label", Some(instead(&crt, " CERT", " TRUSTED CERT"))),
        ("old label", Some(instead(&crt, " CERT", " X509 CERT"))),
        ("request label", Some(instead(&crt, "CATE", "CATE REQUEST"))),
        ("blank lines before", Some(joined(&[b"\n\n\n", &crt]))),
        ("text before", Some(joined(&[b"Bag Attributes\n  friendlyName: x\nsubject=/CN=one\n", &crt]))),
        ("text after", Some(joined(&[&crt, b"that is all\n"]))),
        ("long line before", Some(joined(&[&[b'x'; 999], b"\n", &crt]))),
        ("letter before the begin", Some(joined(&[b"x", &crt]))),
        ("letter after the begin", Some(instead(&crt, "BEGIN CERTIFICATE-----", "BEGIN CERTIFICATE-----x"))),
        ("windows", Some(instead(&crt, "\n", "\r\n"))),
        ("old macintosh", Some(instead(&crt, "\n", "\r"))),
        ("mark", Some(joined(&[b"\xEF\xBB\xBF", &crt]))),
        ("indented", Some(lines(&crt, &|_, line| format!("  {line}\n")))),
        (
            "body indented",
            Some(lines(&crt, &|_, line| {
                if line.starts_with('-') { format!("{line}\n") } else { format!(" {line}\n") }
            })),
        ),
        ("trailing spaces", Some(lines(&crt, &|_, line| format!("{line}  \n")))),
        ("every second line blank", Some(instead(&crt, "\n", "\n\n"))),
        (
            "blank after begin",
            Some(lines(&crt, &|at, line| if at == 0 { format!("{line}\n\n") } else { format!("{line}\n") })),
        ),
        (
            "blank in the middle",
            Some(lines(&crt, &|at, line| if at == 5 { format!("{line}\n\n") } else { format!("{line}\n") })),
        ),
        ("header", Some(instead(&crt, "BEGIN CERTIFICATE-----\n", "BEGIN CERTIFICATE-----\nComment: x\n\n"))),
        ("one line", Some(one_line(&crt))),
        ("without an end of line", Some(crt.trim_ascii_end().to_vec())),
        ("cut off", Some(crt[..crt.len() / 2].to_vec())),
        ("no base64", Some(instead(&crt, "MII", "!!!"))),
        ("no certificate in it", Some(broken.to_vec())),
        ("other end", Some(instead(&crt, "END CERTIFICATE", "END X509 CERTIFICATE"))),
        ("chain", Some(joined(&[&crt, &other]))),
        ("chain in the wrong order", Some(joined(&[&other, &crt]))),
        ("second is trusted", Some(joined(&[&crt, &read("one.trusted")]))),
        ("second is broken", Some(joined(&[&crt, broken]))),
        ("second is cut off", Some(joined(&[&crt, &crt[..200]]))),
        ("key before", Some(joined(&[&key, &crt]))),
        ("key after", Some(joined(&[&crt, &key]))),
        ("cut off block before", Some(joined(&[b"-----BEGIN X-----\nAAAA\n", &crt]))),
        ("other block before", Some(joined(&[b"-----BEGIN X-----\nAAAA\n-----END X-----\n", &crt]))),
        ("key instead", Some(key.clone())),
    ];
    let keys: Vec<(&str, Option<Vec<u8>>)> = vec![
        ("missing", None),
        ("empty", Some(Vec::new())),
        ("blank", Some(b"\n\n".to_vec())),
        ("der", Some(read("one.key.der"))),
        ("der of another", Some(read("other.key.der"))),
        ("of another", Some(read("other.key"))),
        ("elliptic curve", Some(read("ec.key"))),
        ("traditional", Some(read("one.key.old"))),
        ("traditional under the new label", Some(instead(&read("one.key.old"), "RSA PRIVATE", "PRIVATE"))),
        ("encrypted", Some(read("one.key.locked"))),
        ("encrypted traditional", Some(read("one.key.locked.old"))),
        ("base64 alone", Some(bare.into_bytes())),
        ("two", Some(joined(&[&key, &read("other.key")]))),
        ("two, the other first", Some(joined(&[&read("other.key"), &key]))),
        ("certificate before", Some(joined(&[&crt, &key]))),
        ("broken one before", Some(joined(&[broken_key, &key]))),
        ("cut off one before", Some(joined(&[&key[..300], b"\n", &key]))),
        ("cut off one after", Some(joined(&[&key, &key[..300]]))),
        ("cut off", Some(key[..key.len() / 2].to_vec())),
        ("public", Some(read("one.pub"))),
        ("certificate", Some(crt.clone())),
        ("certificate in der", Some(read("one.crt.der"))),
        ("no key in it", Some(broken_key.to_vec())),
        ("windows", Some(instead(&key, "\n", "\r\n"))),
        ("mark", Some(joined(&[b"\xEF\xBB\xBF", &key]))),
        ("indented", Some(lines(&key, &|_, line| format!(" {line}\n")))),
        ("every second line blank", Some(instead(&key, "\n", "\n\n"))),
        ("one line", Some(one_line(&key))),
        ("text before", Some(joined(&[b"note: this is the key\n\n", &key]))),
    ];
    let pairs = ["sha1", "md5", "short", "by-sha1", "by-sha256"];
    let pairs =
        pairs.map(|name| (name, Some(read(&format!("{name}.crt"))), Some(read(&format!("{name}.key")))));
    let with_key = |(name, content)| (format!("certificate: {name}"), content, Some(key.clone()));
    let with_certificate = |(name, content)| (format!("key: {name}"), Some(crt.clone()), content);
    let table: Vec<Pair> = certificates
        .into_iter()
        .map(with_key)
        .chain(keys.into_iter().map(with_certificate))
        .chain(pairs.into_iter().map(|(name, crt, key)| (format!("pair: {name}"), crt, key)))
        .collect();
    let lab = Installed::at(&folder.path().join("sepm")).await;
    let place = folder.path().join("apache");
    let compare = move || {
        let mut differ = Vec::new();
        let (mut sending, mut refusing) = (0, 0);
        for (name, certificate, key) in &table {
            let (certificate, key) = (certificate.as_deref(), key.as_deref());
            let (real, mock) = (apache(&place, certificate, key), lab.web_server(certificate, key));
            match &real {
                Made::Sends(_) => sending += 1,
                Made::Logs(_) => refusing += 1,
            }
            if real != mock {
                differ.push(format!("{name}: apache {real:?}, the lab {mock:?}"));
            }
        }
        assert!(differ.is_empty(), "{}", differ.join("\n"));
        assert!(sending > 30 && refusing > 30, "{sending} {refusing}");
    };
    tokio::task::spawn_blocking(compare).await.unwrap();
}

// ------------------------------------------------------------------------------------------------------------- Tomcat

/// Makes the keystores.
const STORES: &str = r#"
set -e
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=pem -keyout pem.key -out pem.crt
openssl pkcs8 -topk8 -nocrypt -in pem.key -outform DER -out key.der
for alias in tomcat renewed zeta alpha mid beta gamma delta eps x1 x2 x3 x4; do
  openssl req -x509 -key pem.key -days 30 -subj /CN=$alias -out $alias.crt
done
java "$1" JKS:one.jks:storepw1:tomcat JKS:own.jks:keypw111:tomcat JKS:two.jks:storepw1:tomcat:renewed \
  PKCS12:three.p12:storepw1:zeta:alpha:mid JCEKS:three.jceks:storepw1:zeta:alpha:mid JKS:trusted.jks::pem \
  JKS:many.jks:storepw1:zeta:alpha:mid:beta:gamma:delta:eps:x1:x2:x3:x4
"#;

fn make_stores(folder: &Path) {
    let program = root().join("tests/tests/lab/java/MakeStores.java");
    let made = output(Process::new("sh").args(["-c", STORES, "sh", text(&program)]).current_dir(folder));
    assert!(made.status.success(), "{made:?}");
}

/// Connectors, and what is to be seen of each: the subject of the certificate, or a word of the message.
const CONNECTORS: [(&str, &str, &str); 38] = [
    ("keystoreFile='etc/one.jks' keystorePass='storepw1'", "", "CN=tomcat"),
    ("keystoreFile='etc/two.jks' keystorePass='storepw1' keyAlias='renewed'", "", "CN=renewed"),
    ("keystoreFile='etc/two.jks' keystorePass='storepw1' keyAlias='RENEWED'", "", "CN=renewed"),
    ("keystoreFile='etc/two.jks' keystorePass='storepw1'", "", "CN="),
    ("keystoreFile='etc/many.jks' keystorePass='storepw1'", "", "CN="),
    ("keystoreFile='etc/three.p12' keystorePass='storepw1' keystoreType='PKCS12'", "", "CN="),
    (
        "keystoreFile='etc/three.p12' keystorePass='storepw1' keystoreType='pkcs12' keyAlias='mid'",
        "",
        "CN=mid",
    ),
    ("keystoreFile='etc/three.p12' keystorePass='storepw1'", "", "CN="),
    (
        "keystoreFile='etc/two.jks' keystorePass='storepw1' keystoreType='PKCS12' keyAlias='renewed'",
        "",
        "CN=renewed",
    ),
    ("keystoreFile='etc/three.jceks' keystorePass='storepw1' keystoreType='JCEKS'", "", "CN="),
    ("keystoreFile='etc/three.jceks' keystorePass='storepw1'", "", "Invalid keystore format"),
    ("keystoreFile='etc/one.jks' keystorePass='storepw1' keystoreType='XYZ'", "", "XYZ not found"),
    (
        "keystoreFile='etc/one.jks' keystorePass='storepw1' keyAlias='none'",
        "",
        "Alias name [none] does not identify a key entry",
    ),
    (
        "keystoreFile='etc/one.jks' keystorePass='storepw1' keyAlias=''",
        "",
        "Alias name [] does not identify a key entry",
    ),
    (
        "keystoreFile='etc/trusted.jks' keystorePass='storepw1' keyAlias='ca'",
        "",
        "Alias name [ca] does not identify a key entry",
    ),
    (
        "keystoreFile='etc/trusted.jks' keystorePass='storepw1'",
        "",
        "Alias name [null] does not identify a key entry",
    ),
    ("keystoreFile='etc/own.jks' keystorePass='storepw1' keyPass='keypw111'", "", "CN=tomcat"),
    ("keystoreFile='etc/own.jks' keystorePass='storepw1'", "", "Cannot recover key"),
    ("keystoreFile='etc/one.jks' keystorePass='storepw1' keyPass=''", "", "Cannot recover key"),
    ("keystoreFile='etc/one.jks' keystorePass='wrongpw'", "", "password was incorrect"),
    ("keystoreFile='etc/one.jks'", "", "password was incorrect"),
    ("keystorePass='storepw1'", "", "No such file"),
    ("keystoreFile='etc/none.jks' keystorePass='storepw1'", "", "No such file"),
    ("keystoreFile='./etc/../etc/one.jks' keystorePass='storepw1'", "", "CN=tomcat"),
    ("keystoreFile='${catalina.base}/etc/one.jks' keystorePass='storepw1'", "", "CN=tomcat"),
    ("KeystoreFile='etc/one.jks' keystorePass='&#115;torepw1'", "", "CN=tomcat"),
    ("SSLCertificateFile='etc/pem.crt' SSLCertificateKeyFile='etc/pem.key'", "", "CN=pem"),
    (
        "",
        "<SSLHostConfig><Certificate certificateKeystoreFile='etc/two.jks' certificateKeystorePassword='storepw1' certificateKeyAlias='renewed' type='RSA'/></SSLHostConfig>",
        "CN=renewed",
    ),
    (
        "",
        "<SSLHostConfig certificateKeystoreFile='etc/two.jks' certificateKeystorePassword='storepw1' certificateKeyAlias='renewed'/>",
        "CN=renewed",
    ),
    (
        "",
        "<SSLHostConfig><Certificate certificateKeystoreFile='etc/own.jks' certificateKeystorePassword='storepw1' certificateKeyPassword='keypw111'/></SSLHostConfig>",
        "CN=tomcat",
    ),
    (
        "",
        "<SSLHostConfig><Certificate certificateFile='etc/pem.crt' certificateKeyFile='etc/pem.key'/></SSLHostConfig>",
        "CN=pem",
    ),
    (
        "sslProtocol='TLS'",
        "<SSLHostConfig><Certificate certificateKeystoreFile='etc/one.jks' certificateKeystorePassword='storepw1'/></SSLHostConfig>",
        "Multiple SSLHostConfig elements",
    ),
    (
        "",
        "<SSLHostConfig hostName='a'><Certificate certificateKeystoreFile='etc/one.jks' certificateKeystorePassword='storepw1'/></SSLHostConfig>",
        "No SSLHostConfig element was found",
    ),
    (
        "defaultSSLHostConfigName='A'",
        "<SSLHostConfig hostName='a'><Certificate certificateKeystoreFile='etc/one.jks' certificateKeystorePassword='storepw1'/></SSLHostConfig>",
        "CN=tomcat",
    ),
    ("", "<SSLHostConfig/>", "certificateFile must be defined"),
    (
        "",
        "<SSLHostConfig><Certificate certificateKeystoreFile='etc/one.jks' certificateKeystorePassword='storepw1'/><Certificate certificateKeystoreFile='etc/two.jks' certificateKeystorePassword='storepw1'/></SSLHostConfig>",
        "missing the required attribute type",
    ),
    (
        "",
        "<SSLHostConfig><Certificate certificateKeystoreFile='etc/one.jks' certificateKeystorePassword='storepw1' type='rsa'/></SSLHostConfig>",
        "No enum constant",
    ),
    ("", "", "No SSLHostConfig element was found"),
];

#[needs(java, openssl, tomcat9)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_any_connector_the_console_serves_what_tomcat_serves() {
    let folder = TempDir::new().unwrap();
    let lab = Installed::at(&folder.path().join("sepm")).await;
    let base = lab.root.join("tomcat");
    make_stores(&base.join("etc"));
    let files: Vec<PathBuf> =
        (0..CONNECTORS.len()).map(|number| folder.path().join(format!("{number}.xml"))).collect();
    for ((attributes, inner, _), file) in CONNECTORS.iter().zip(&files) {
        let connector = format!(
            "<Connector port='0' address='127.0.0.1' protocol='HTTP/1.1' SSLEnabled='true' scheme='https' \
             secure='true' {attributes}>{inner}</Connector>"
        );
        let engine = "<Engine name='c' defaultHost='h'><Host name='h' appBase='webapps'/></Engine>";
        fs::write(
            file,
            format!("<Server port='-1'><Service name='SCM'>{connector}{engine}</Service></Server>"),
        )
        .unwrap();
    }
    let compare = move || {
        let jars = fs::read_dir("/usr/share/java").unwrap().map(|one| one.unwrap().path());
        let jars: Vec<String> = jars
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("tomcat9-"))
            .map(|path| path.to_str().unwrap().to_owned())
            .collect();
        let program = root().join("tests/tests/lab/java/ServedByTomcat.java");
        let base = format!("-Dcatalina.base={}", text(&base));
        let mut java =
            vec!["-cp", "", &base, "-Dcatalina.home=/nowhere", "-Duser.home=/nowhere", text(&program)];
        let classes = jars.join(":");
        java[1] = &classes;
        java.extend(files.iter().map(|file| text(file)));
        let tomcat = run("java", &java);
        let mut differ = Vec::new();
        for (number, ((attributes, inner, expected), file)) in CONNECTORS.iter().zip(&files).enumerate() {
            let said = tomcat.lines().find_map(|line| line.strip_prefix(&format!("{number}.xml "))).unwrap();
            fs::copy(file, lab.root.join(XML)).unwrap();
            let _ = fs::remove_dir_all(lab.root.join("tomcat/logs"));
            assert!(lab.site.restart(MANAGER, Some(Service::Semsrv)));
            let mock = match sent(lab.port("rest")) {
                Some(pem) => {
                    let crt = folder.path().join("sent.crt");
                    fs::write(&crt, &pem).unwrap();
                    let subject = run(
                        "openssl",
                        &["x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", text(&crt)],
                    );
                    let subject = subject.trim().trim_start_matches("subject=").to_owned();
                    format!("serves {subject} x{}", pem.matches("BEGIN").count())
                }
                None => format!(
                    "down {}",
                    fs::read_to_string(lab.root.join("tomcat/logs/scm-server-0.log")).unwrap()
                ),
            };
            // Where both are down, both give the reason.
            let is_same = said == mock
                || (said.starts_with("down") && mock.starts_with("down") && mock.contains(expected));
            if !is_same || !said.contains(expected) {
                differ.push(format!("{attributes} {inner}: tomcat {said}, the lab {mock}"));
            }
            assert!(!mock.contains(PASSWORD), "{mock}");
        }
        assert!(differ.is_empty(), "{}", differ.join("\n"));
    };
    tokio::task::spawn_blocking(compare).await.unwrap();
}

#[needs(java, keytool, openssl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_console_moves_with_the_port_of_its_connector_and_an_update_writes_the_keystore_that_it_names() {
    let folder = TempDir::new().unwrap();
    let lab = Installed::at(&folder.path().join("sepm")).await;
    make_stores(&lab.root.join("tomcat/etc"));
    let before = lab.port("rest");
    let xml = fs::read_to_string(lab.root.join(XML)).unwrap();
    assert!(xml.contains(&format!("port=\"{before}\"")), "{xml}");
    // The product's other connector comes first, and the port of the second one is changed.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = |port: u16| {
        let tls =
            "SSLEnabled='true' keystoreFile='etc/three.p12' keystorePass='storepw1' keystoreType='PKCS12'";
        format!(
            "<Server><Service><Connector port='9090'/><Connector port='8443' {tls} keyAlias='mid'/>\
             <Connector port='{port}' {tls} keyAlias='alpha'/></Service></Server>"
        )
    };
    lab.put(XML, Some(server(before).as_bytes()));
    lab.site.restart(MANAGER, Some(Service::Semsrv));
    let subject = |port: u16| {
        let script = "openssl s_client -connect \"$1\" </dev/null 2>/dev/null | openssl x509 -noout -subject";
        run("sh", &["-c", script, "sh", &format!("127.0.0.1:{port}")])
    };
    assert_eq!((lab.port("rest"), subject(before)), (before, "subject=CN = alpha\n".to_owned()));
    lab.put(XML, Some(server(free).as_bytes()));
    lab.site.restart(MANAGER, Some(Service::Semsrv));
    assert_eq!((lab.port("rest"), subject(free)), (free, "subject=CN = alpha\n".to_owned()));
    assert!(sent(before).is_none(), "the port before is closed");
    // A port that is taken is the reason for which the service is down, and it is told in Java's words.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    lab.put(XML, Some(server(taken.local_addr().unwrap().port()).as_bytes()));
    lab.site.restart(MANAGER, Some(Service::Semsrv));
    let errors = lab.site.service_errors();
    let why = &errors[MANAGER][&Service::Semsrv];
    assert!(why.contains("java.net.BindException: Address already in use"), "{why}");
    lab.put(XML, Some(server(free).as_bytes()));
    lab.site.restart(MANAGER, Some(Service::Semsrv));
    assert_eq!((lab.port("rest"), subject(free)), (free, "subject=CN = alpha\n".to_owned()));
    // The wizard's update goes to the keystore that the connector names.
    let certificate = epm_protocol::site::NewCertificate::Generate {
        common_name: Some("new".to_owned()),
        valid_days: None,
    };
    let (manager, stores) = (MANAGER.to_owned(), epm_protocol::site::Stores::Both);
    lab.site.apply(&epm_protocol::site::Command::UpdateCertificate { manager, certificate, stores }).unwrap();
    let store = lab.root.join("tomcat/etc/three.p12");
    let listed = run("keytool", &["-list", "-v", "-keystore", text(&store), "-storepass", PASSWORD]);
    assert!(listed.contains("Alias name: alpha") && listed.contains("Owner: CN=new"), "{listed}");
    lab.site.restart(MANAGER, Some(Service::Semsrv));
    assert_eq!(subject(free), "subject=CN = new\n");
}
