//! A manager with an installation folder: openssl and keytool replace its files as a rotation tool does, a service is
//! restarted through the control API, and each port shows the right certificate.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::sync::Arc;

use epm_fixtures::{needs, output};
use epm_protocol::site::{Command, NewCertificate, Stores};
use epm_server::lab::Lab;
use epm_server::{MockSite, control_api, read_recovery};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const MANAGER: &str = "sepm-1";
const KEYSTORE: &str = "tomcat/etc/keystore.jks";
const CRT: &str = "apache/conf/ssl/server.crt";
const KEY: &str = "apache/conf/ssl/server.key";

struct Installed {
    site: Arc<MockSite>,
    root: PathBuf,
    control_api: String,
    stopping: CancellationToken,
}

impl Drop for Installed {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

impl Installed {
    async fn at(root: &Path) -> Self {
        Self::of(MockSite::builder().rest_api(0).start().await.unwrap(), root, false).await
    }

    async fn of(site: MockSite, root: &Path, anew: bool) -> Self {
        site.install(MANAGER, root, anew).unwrap();
        let site = Arc::new(site);
        let lab = Lab::new(Arc::clone(&site), 1, Arc::new(|_, _| ()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let control_api = format!("http://{}", listener.local_addr().unwrap());
        let stopping = CancellationToken::new();
        tokio::spawn(control_api::serve(listener, lab, None, stopping.clone()));
        Self { site, root: root.to_owned(), control_api, stopping }
    }

    async fn restart(&self, service: &str) {
        let url = format!("{}/v1/managers/{MANAGER}/restart", self.control_api);
        let body = format!("{{\"service\":\"{service}\"}}");
        run("curl", &["-sSf", "-H", "content-type: application/json", "-d", &body, &url]).await.unwrap();
    }

    /// The fingerprints that the clients' port and the console's port show; none if the port is closed.
    async fn shown(&self) -> [Option<String>; 2] {
        let place = &self.site.addresses()[0];
        let client = shown(&place.https).await;
        [client, shown(place.rest.as_ref().unwrap()).await]
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap()
    }

    /// The web server's log of this kind; its name contains the date.
    fn web_log(&self, kind: &str) -> String {
        let found = fs::read_dir(self.root.join("apache/logs")).unwrap().map(|one| one.unwrap().path());
        let is_it = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(kind);
        found.filter(is_it).map(|path| fs::read_to_string(path).unwrap()).collect()
    }

    async fn control_api(&self, method: &str, path: &str) -> String {
        let url = format!("{}{path}", self.control_api);
        run("curl", &["-sSf", "-X", method, "-H", "content-type: application/json", "-d", "{}", &url])
            .await
            .unwrap()
    }

    fn zips(&self) -> Vec<PathBuf> {
        let found = fs::read_dir(self.root.join("Server Private Key Backup")).unwrap();
        let mut zips: Vec<PathBuf> = found.map(|one| one.unwrap().path()).collect();
        zips.sort();
        zips
    }
}

async fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let mut process = Process::new(program);
    process.args(args);
    let output = tokio::task::spawn_blocking(move || output(&mut process)).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(text) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

async fn shown(url: &str) -> Option<String> {
    let host = url.trim_start_matches("https://");
    let script = format!(
        "openssl s_client -connect {host} </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256"
    );
    run("sh", &["-c", &script]).await.ok()
}

async fn fingerprint(file: &Path) -> Option<String> {
    Some(run("openssl", &["x509", "-noout", "-fingerprint", "-sha256", "-in", text(file)]).await.unwrap())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Makes a new certificate with openssl; returns the files of certificate and key.
async fn rotated(folder: &TempDir) -> (PathBuf, PathBuf) {
    let (crt, key) = (folder.path().join("new.crt"), folder.path().join("new.key"));
    let made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "30"];
    let files = ["-keyout", text(&key), "-out", text(&crt)];
    run("openssl", &[&made[..], &files[..]].concat()).await.unwrap();
    (crt, key)
}

fn password(installed: &Installed) -> String {
    let xml = installed.read("tomcat/conf/server.xml");
    xml.split("keystorePass=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

/// Replaces the keystore with keytool.
async fn replace_keystore(installed: &Installed, folder: &TempDir, crt: &Path, key: &Path) {
    let (p12, jks) = (folder.path().join("new.p12"), folder.path().join("new.jks"));
    let password = password(installed);
    let pass = format!("pass:{password}");
    let args = ["pkcs12", "-export", "-name", "tomcat", "-in", text(crt), "-inkey", text(key)];
    run("openssl", &[&args[..], &["-out", text(&p12), "-passout", &pass]].concat()).await.unwrap();
    let args = ["-importkeystore", "-noprompt", "-srcstoretype", "PKCS12", "-deststoretype", "JKS"];
    let files = ["-srckeystore", text(&p12), "-destkeystore", text(&jks)];
    let secrets = ["-srcstorepass", &password, "-deststorepass", &password];
    run("keytool", &[&args[..], &files[..], &secrets[..]].concat()).await.unwrap();
    fs::rename(&jks, installed.root.join(KEYSTORE)).unwrap();
}

#[needs(keytool, openssl, python3)]
#[tokio::test(flavor = "multi_thread")]
async fn a_manager_is_laid_out_as_the_product_does_and_others_read_it() {
    let folder = TempDir::new().unwrap();
    let lab = Installed::at(&folder.path().join("sepm")).await;
    for secret in [KEYSTORE, KEY, "tomcat/conf/server.xml"] {
        let mode = fs::metadata(lab.root.join(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    assert!(lab.read("tomcat/etc/conf.properties").contains("scm.duplicatedhwkey.fix.enabled=true"));
    let served = lab.shown().await;
    assert_eq!(served, [fingerprint(&lab.root.join(CRT)).await, served[0].clone()]);
    let store = lab.root.join(KEYSTORE);
    let listed = run("keytool", &["-list", "-keystore", text(&store), "-storepass", &password(&lab)]).await;
    assert!(listed.unwrap().contains("tomcat"));
    let groups: Vec<_> = fs::read_dir(lab.root.join("data/outbox/agent")).unwrap().collect();
    assert_eq!(groups.len(), 2);
    for group in groups {
        for name in ["index2.xml", "LSProfile.xml", "LSProfile.xml.sig"] {
            assert!(fs::metadata(group.as_ref().unwrap().path().join(name)).unwrap().len() > 0, "{name}");
        }
    }
    assert!(lab.read("tomcat/logs/scm-server-0.log").ends_with("INFO: semsrv has started\n"));
    assert!(lab.web_log("error-").ends_with("semwebsrv has started\n"));
    let [zip] = lab.zips().try_into().unwrap();
    let code =
        "import sys,zipfile; z=zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(z.namelist())";
    let names = run("python3", &["-c", code, text(&zip)]).await.unwrap();
    assert!(
        names.contains("keystore_") && names.contains("server_") && names.contains("settings_"),
        "{names}"
    );
}

#[needs(curl, keytool, openssl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_by_files_holds_store_by_store_and_from_the_restart_on() {
    let folder = TempDir::new().unwrap();
    let lab = Installed::at(&folder.path().join("sepm")).await;
    let [old, _] = lab.shown().await;
    let (crt, key) = rotated(&folder).await;
    let new = fingerprint(&crt).await;
    fs::copy(&crt, lab.root.join(CRT)).unwrap();
    fs::copy(&key, lab.root.join(KEY)).unwrap();
    replace_keystore(&lab, &folder, &crt, &key).await;
    assert_eq!(lab.shown().await, [old.clone(), old.clone()], "without a restart nothing changes");
    lab.restart("semsrv").await;
    assert_eq!(lab.shown().await, [old, new.clone()], "F10");
    lab.restart("semwebsrv").await;
    assert_eq!(lab.shown().await, [new.clone(), new.clone()]);
    let [_, zip] = lab.zips().try_into().unwrap();
    let kept = read_recovery("new.zip", &fs::read(zip).unwrap()).unwrap();
    assert_eq!(
        format!("sha256 Fingerprint={}\n", kept.identity.certificate().fingerprint()),
        new.clone().unwrap()
    );
    lab.restart("semsrv").await;
    assert_eq!(lab.zips().len(), 2, "the same certificate again is no change");
    lab.site.stop().await;
    drop(lab);
    let again = Installed::at(&folder.path().join("sepm")).await;
    assert_eq!(again.shown().await, [new.clone(), new], "it starts from what stands in the folder");
}

#[needs(curl, openssl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_files_are_no_good_does_not_start_and_says_why_while_the_other_goes_on() {
    let folder = TempDir::new().unwrap();
    let lab = Installed::at(&folder.path().join("sepm")).await;
    let [old, _] = lab.shown().await;
    let (crt, key) = rotated(&folder).await;
    fs::copy(&crt, lab.root.join(CRT)).unwrap(); // the key is the other certificate's
    lab.restart("semwebsrv").await;
    assert_eq!(lab.shown().await, [None, old.clone()]);
    let log = lab.web_log("error-");
    assert!(log.contains("apache/conf/ssl/server.key") && !log.contains("PRIVATE KEY"), "{log}");
    let kept = fs::read(lab.root.join(KEYSTORE)).unwrap();
    fs::write(lab.root.join(KEYSTORE), &kept[..kept.len() / 2]).unwrap();
    lab.restart("semsrv").await;
    assert_eq!(lab.shown().await, [None, None]);
    let log = lab.read("tomcat/logs/scm-server-0.log");
    assert!(log.contains("SEVERE") && log.contains(KEYSTORE) && !log.contains(&password(&lab)), "{log}");
    fs::copy(&key, lab.root.join(KEY)).unwrap();
    lab.restart("semwebsrv").await;
    let new = fingerprint(&crt).await;
    assert_eq!(lab.shown().await, [new.clone(), None], "the good restart of one is none of the other");
    fs::write(lab.root.join(KEYSTORE), kept).unwrap();
    lab.restart("semsrv").await;
    assert_eq!(lab.shown().await, [new, old]);
}

#[needs(curl, openssl)]
#[tokio::test(flavor = "multi_thread")]
async fn an_update_reaches_both_files_and_makes_a_recovery_zip_that_restores_another_manager() {
    let folder = TempDir::new().unwrap();
    let lab = Installed::at(&folder.path().join("sepm")).await;
    let certificate = NewCertificate::Generate { common_name: None, valid_days: None };
    let update =
        Command::UpdateCertificate { manager: MANAGER.to_owned(), certificate, stores: Stores::Both };
    let before = lab.shown().await;
    let password_before = password(&lab);
    lab.site.apply(&update).unwrap();
    let new = lab.shown().await;
    assert_ne!(new, before);
    assert_eq!(new[0], fingerprint(&lab.root.join(CRT)).await);
    assert_eq!(password(&lab), password_before);
    lab.restart("semsrv").await;
    lab.restart("semwebsrv").await;
    assert_eq!(lab.shown().await, new);
    let [first, second] = lab.zips().try_into().unwrap();
    let read = |path: &Path| read_recovery("a.zip", &fs::read(path).unwrap()).unwrap();
    assert_ne!(read(&first).identity, read(&second).identity);

    // On an empty manager: the same certificate, secret and domain, also after the next start from its folder.
    let other = || MockSite::builder().seed(99).rest_api(0);
    let site = other().start().await.unwrap();
    assert_ne!(site.kcs(), lab.site.kcs());
    site.restore(MANAGER, &read(&second), true).unwrap();
    let root = folder.path().join("other");
    let restored = Installed::of(site, &root, true).await;
    assert_eq!(restored.shown().await, new);
    restored.site.stop().await;
    let again = Installed::of(other().start().await.unwrap(), &root, false).await;
    assert_eq!(again.shown().await, new);
    assert_eq!(again.site.kcs(), lab.site.kcs());
    assert_eq!(again.site.look(|site| site.domain()), lab.site.look(|site| site.domain()));

    // A client with another secret is refused, and the log says so (F15).
    let place = &again.site.addresses()[0];
    let url = format!("{}/secars/secars.dll?h={}&l=12&action=index", place.http, "0".repeat(64));
    run("curl", &["-s", &url]).await.unwrap();
    let log = again.read("data/inbox/log/ersecreg.log");
    assert!(log.contains("4 Bad format.\n<127.0.0.1>--FAILED\n"), "{log}");
    assert!(log.contains(&again.site.kcs().to_string()), "{log}");

    let mut torn = fs::read(&second).unwrap();
    torn.truncate(torn.len() / 2);
    assert!(read_recovery("torn.zip", &torn).unwrap_err().to_string().contains("torn.zip"));
}

#[needs(openssl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_manager_that_was_killed_between_two_writes_starts_with_both_stores_old_or_both_new() {
    let folder = TempDir::new().unwrap();
    let lab = Installed::at(&folder.path().join("sepm")).await;
    let [old, _] = lab.shown().await;
    let root = lab.root.clone();
    lab.site.stop().await;
    drop(lab);
    let (crt, key) = rotated(&folder).await;
    let new = fingerprint(&crt).await;
    let pending = |path: &str| root.join(format!("{path}.pending"));
    // Only some of it was written: none of it takes effect.
    fs::copy(&crt, pending(CRT)).unwrap();
    fs::write(pending(KEY), "-----BEGIN").unwrap();
    let lab = Installed::at(&root).await;
    assert_eq!(lab.shown().await, [old.clone(), old.clone()]);
    assert!(!pending(CRT).exists() && !pending(KEY).exists());
    lab.site.stop().await;
    drop(lab);
    // All of it was written, and the first file was put in place: the rest follows.
    fs::copy(&crt, root.join(CRT)).unwrap();
    fs::copy(&key, pending(KEY)).unwrap();
    fs::write(root.join("data/.update"), format!("{CRT}\n{KEY}")).unwrap();
    let lab = Installed::at(&root).await;
    assert_eq!(lab.shown().await, [new, old]);
}

#[needs(curl, openssl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_brings_the_folder_back_as_well() {
    let folder = TempDir::new().unwrap();
    let lab = Installed::at(&folder.path().join("sepm")).await;
    let before = lab.shown().await;
    lab.control_api("PUT", "/v1/snapshots/before").await;
    lab.control_api("PUT", &format!("/v1/managers/{MANAGER}/certificate/one")).await;
    let after = lab.shown().await;
    assert_ne!(before, after);
    assert_eq!(after[0], fingerprint(&lab.root.join(CRT)).await);
    lab.control_api("POST", "/v1/snapshots/before/restore").await;
    assert_eq!(lab.shown().await, before);
    assert_eq!(before[0], fingerprint(&lab.root.join(CRT)).await);
    lab.restart("semsrv").await;
    lab.restart("semwebsrv").await;
    assert_eq!(lab.shown().await, before, "it lives from the folder");
    let newest = lab.zips().pop().unwrap();
    let kept = read_recovery("newest.zip", &fs::read(newest).unwrap()).unwrap();
    assert_eq!(kept.identity.certificate(), &lab.site.certificate(MANAGER).unwrap());
}

#[needs(openssl)]
#[tokio::test(flavor = "multi_thread")]
async fn an_update_over_files_that_a_tool_has_put_there_and_no_service_has_read_says_so() {
    let folder = TempDir::new().unwrap();
    let lab = Installed::at(&folder.path().join("sepm")).await;
    let (crt, key) = rotated(&folder).await;
    fs::copy(&crt, lab.root.join(CRT)).unwrap();
    fs::copy(&key, lab.root.join(KEY)).unwrap();
    let update = |stores| Command::UpdateCertificate {
        manager: MANAGER.to_owned(),
        certificate: NewCertificate::Generate { common_name: None, valid_days: None },
        stores,
    };
    lab.site.apply(&update(Stores::Console)).unwrap();
    assert_eq!(fs::read(lab.root.join(CRT)).unwrap(), fs::read(&crt).unwrap(), "it is of the other store");
    lab.site.apply(&update(Stores::Both)).unwrap();
    let log = lab.read("tomcat/logs/scm-server-0.log");
    assert!(log.contains("apache/conf/ssl/server.crt was replaced, and no service had read it"), "{log}");
    assert_eq!(lab.shown().await[0], fingerprint(&lab.root.join(CRT)).await);
}

#[needs(curl, openssl)]
#[tokio::test(flavor = "multi_thread")]
async fn who_was_there_stands_in_the_access_logs_of_both_servers() {
    let folder = TempDir::new().unwrap();
    let lab = Installed::at(&folder.path().join("sepm")).await;
    let place = &lab.site.addresses()[0];
    run("curl", &["-sS", &place.hello]).await.unwrap();
    run("curl", &["-sS", &format!("{}/nothing", place.http)]).await.unwrap();
    let version = format!("{}/sepm/api/v1/version", place.rest.as_ref().unwrap());
    run("curl", &["-sSk", &version]).await.unwrap();
    let log = lab.web_log("access-");
    assert!(log.starts_with("127.0.0.1 - - ["), "{log}");
    assert!(log.contains("\"GET /secars/secars.dll?hello,secars HTTP/1.1\" 200 2\n"), "{log}");
    assert!(log.contains("\"GET /nothing HTTP/1.1\" 404 "), "{log}");
    let logs = fs::read_dir(lab.root.join("tomcat/logs")).unwrap().map(|one| one.unwrap().path());
    let is_it =
        |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("semapisrv_access_log.");
    let log: String = logs.filter(is_it).map(|path| fs::read_to_string(path).unwrap()).collect();
    assert!(log.contains("\"GET /sepm/api/v1/version HTTP/1.1\" 200 "), "{log}");
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_cannot_be_written_is_refused_and_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let installed = Installed::at(&folder.path().join("sepm")).await;
    let keystore = || fs::read(installed.root.join(KEYSTORE)).unwrap();
    let before = (installed.read(CRT), installed.read(KEY), keystore(), installed.shown().await);
    // Where the new certificate is to be written, there is a folder: as on a full disk, writing fails half-way.
    let obstacle = installed.root.join(format!("{CRT}.pending"));
    fs::create_dir(&obstacle).unwrap();
    let update = Command::UpdateCertificate {
        manager: MANAGER.to_owned(),
        certificate: NewCertificate::Generate { common_name: None, valid_days: None },
        stores: Stores::Both,
    };
    let refused = installed.site.apply(&update).unwrap_err().to_string();
    assert!(refused.contains("cannot be written, so nothing has changed"), "{refused}");
    let body = serde_json::to_string(&[&update]).unwrap();
    let url = format!("{}/v1/commands", installed.control_api);
    let json = "content-type: application/json";
    let arguments = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", json, "-d", &body, &url];
    assert_eq!(run("curl", &arguments).await.unwrap(), "507");
    assert_eq!((installed.read(CRT), installed.read(KEY), keystore(), installed.shown().await), before);
    assert_eq!(installed.zips().len(), 1, "a recovery file of the refused certificate");
    let left = output(Process::new("find").arg(&installed.root).args([
        "-name",
        "*.unfinished",
        "-o",
        "-name",
        "*.pending",
    ]));
    assert_eq!(
        String::from_utf8_lossy(&left.stdout).trim(),
        obstacle.to_str().unwrap(),
        "nothing half done is left"
    );

    fs::remove_dir(&obstacle).unwrap();
    installed.site.apply(&update).unwrap();
    assert_ne!(installed.read(CRT), before.0);
    assert_ne!(installed.shown().await, before.3);
}

#[tokio::test]
async fn a_folder_belongs_to_one_lab_until_that_ends() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("sepm");
    let first = MockSite::start().await.unwrap();
    first.install(MANAGER, &root, false).unwrap();
    let second = MockSite::builder().seed(2).start().await.unwrap();
    let refused = second.install(MANAGER, &root, false).unwrap_err().to_string();
    let holder = format!("in use by another lab, process {}", std::process::id());
    assert!(refused.contains(&holder), "{refused}");
    first.stop().await;
    drop(first);
    second.install(MANAGER, &root, false).unwrap();
}
