//! Tests of a running site that need its state.

use epm_protocol::site::{NewCertificate, Stores};
use epm_protocol::time::Clock;

use super::*;

#[tokio::test]
async fn the_ports_are_dialled_and_not_what_the_site_should_present() {
    let site = MockSite::builder().rest_api(0).start().await.unwrap();
    let shown =
        || async { site.presented().await.into_iter().map(|one| one.certificate).collect::<Vec<_>>() };
    let old = site.certificate("sepm-1").unwrap().fingerprint();
    assert_eq!(shown().await, [Ok(old), Ok(old)]);
    // An update that the ports do not follow.
    let update = |stores| Command::UpdateCertificate {
        manager: "sepm-1".to_owned(),
        certificate: NewCertificate::Generate { common_name: None, valid_days: None },
        stores,
    };
    site.state.site().apply(&update(Stores::Both), site.clock().now()).unwrap();
    let should = site.look(|site| site.managers().next().unwrap().client.certificate().fingerprint());
    assert_ne!(should, old);
    assert_eq!(shown().await, [Ok(old), Ok(old)]);
    site.apply(&update(Stores::Console)).unwrap();
    let new = site.look(|site| site.managers().next().unwrap().console.certificate().fingerprint());
    assert_eq!(shown().await[1], Ok(new));
    assert!(site.journal().failed_handshakes().is_empty());
    site.stop().await;
    assert!(shown().await.iter().all(Result::is_err));
}
