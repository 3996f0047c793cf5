//! Keys and certificates of labs and of their faults, checked by openssl and by NSS.

use std::path::Path;
use std::process::Command as Process;

use epm_fixtures::{needs, output};
use epm_protocol::fault::FaultKind;
use epm_protocol::fault::mint::{MintInput, mint};
use epm_protocol::site::Stores;
use epm_protocol::trust::{KeyPool, ServerCertificate};
use epm_server::MockSite;
use epm_tests::{START, TestSite};

#[needs(openssl)]
#[test]
fn openssl_finds_every_key_sound() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.der");
    for seed in [0, 1, 1 << 40, u64::MAX] {
        for pool in [KeyPool::of_site(seed), KeyPool::of_faults(seed)] {
            for n in [0, 1, 9_999] {
                std::fs::write(&file, pool.get(n).pkcs8_der()).unwrap();
                let mut check = Process::new("openssl");
                check.args(["rsa", "-inform", "DER", "-check", "-noout", "-in"]).arg(&file);
                let checked = output(&mut check);
                let said = String::from_utf8_lossy(&checked.stdout);
                assert!(checked.status.success() && said.contains("RSA key ok"), "{pool:?} {n}: {checked:?}");
            }
        }
    }
}

/// NSS refuses a certificate whose issuer and serial number are those of another one in its database.
#[needs(certutil)]
#[tokio::test]
async fn nss_takes_the_certificates_of_two_labs_and_of_all_their_faults_into_one_database() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sql:{}", folder.path().display());
    let certutil =
        |arguments: &[&str]| output(Process::new("certutil").args(["-d", &database]).args(arguments));
    assert!(certutil(&["-N", "--empty-password"]).status.success());
    let takes = |name: &str, certificate: &ServerCertificate, file: &Path| {
        std::fs::write(file, certificate.der()).unwrap();
        let added = certutil(&["-A", "-n", name, "-t", "P,,", "-i", &file.display().to_string()]);
        assert!(added.status.success(), "{name}: {added:?}");
    };
    let mut taken = 0;
    for seed in [1, 2] {
        let lab = TestSite::of(MockSite::builder().seed(seed)).await;
        let previous = lab.identity();
        lab.update(Stores::Both);
        let good = lab.identity();
        let mut shown =
            vec![("before", previous.certificate().clone()), ("good", good.certificate().clone())];
        for info in FaultKind::kinds() {
            let spare = KeyPool::of_faults(seed);
            let mint_input =
                MintInput { good: &good, previous: Some(&previous), authorities: &[], spare, now: START };
            let minted = FaultKind::named(info.name).map(|kind| mint(&kind, &mint_input));
            if let Ok(Ok(minted)) = minted {
                shown.extend(minted.chain.into_iter().map(|one| (info.name, one)));
            }
        }
        for (number, (what, certificate)) in shown.iter().enumerate() {
            takes(&format!("{what} {number} of lab {seed}"), certificate, &folder.path().join("one.der"));
        }
        taken += shown.len();
    }
    assert!(taken > 30, "{taken}: the faults have shown theirs");
}
