//! Tests of a running site that need its state.

use epm_protocol::site::{NewCertificate, Stores};
use epm_protocol::time::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;
use crate::runtime::replayed::Data;
use crate::store::{SqliteStore, Store};

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

#[tokio::test]
async fn a_site_that_goes_on_lets_clients_wait_until_the_lab_knows_what_else_there_was() {
    let folder = tempfile::tempdir().unwrap();
    let begun = || async {
        let store = Arc::new(SqliteStore::open(folder.path()).unwrap());
        let data = Data::read(Arc::clone(&store) as Arc<dyn Store>, BTreeMap::new()).unwrap();
        let site = MockSite::builder().keep(data).start().await.unwrap();
        Data::complete(store.as_ref()).unwrap();
        site
    };
    let asked = |site: &MockSite| {
        let socket = site.addresses()[0].sockets()[0];
        async move {
            let mut client = TcpStream::connect(socket).await.unwrap();
            let hello =
                b"GET /secars/secars.dll?hello,secars HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
            client.write_all(hello).await.unwrap();
            client
        }
    };
    let mut answer = String::new();
    let new = begun().await;
    asked(&new).await.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    new.stop().await;
    drop(new);
    let again = begun().await;
    let mut client = asked(&again).await;
    let early = timeout(Duration::from_millis(100), client.read(&mut [0; 1])).await;
    assert!(early.is_err(), "{early:?}");
    let _fault =
        again.faults().add(serde_json::from_str(r#"{"name":"one","what":"reset"}"#).unwrap()).unwrap();
    again.serve();
    let late = client.read(&mut [0; 1]).await;
    assert!(!matches!(late, Ok(1)), "the fault was there before the client was heard: {late:?}");
    again.stop().await;
}
