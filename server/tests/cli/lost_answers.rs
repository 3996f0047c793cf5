//! A database whose answer to a change is lost: the change is made once, and every process follows it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::harness::{needs, until};
use crate::site::{Manager, Site};

/// What the end of a transaction is on the wire: a query of its own.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// Connections to a database that can lose the answer to the end of a transaction.
struct Relay {
    address: SocketAddr,
    loses: Arc<AtomicBool>,
}

impl Relay {
    fn to(database: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, loses) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let arm = Arc::clone(&loses);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(database).unwrap());
                let is_lost = Arc::new(AtomicBool::new(false));
                let (arm, loses) = (Arc::clone(&arm), Arc::clone(&is_lost));
                relay(&client, &server, move |sent| {
                    if sent == COMMIT && arm.swap(false, Ordering::SeqCst) {
                        loses.store(true, Ordering::SeqCst);
                    }
                    true
                });
                relay(&server, &client, move |_| !is_lost.load(Ordering::SeqCst));
            }
        });
        Self { address, loses }
    }
}

/// Passes on what comes while `passes` says so, in a thread; closes both connections at the end.
fn relay(from: &TcpStream, to: &TcpStream, passes: impl Fn(&[u8]) -> bool + Send + 'static) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(read) = from.read(&mut bytes) {
            if read == 0 || !passes(&bytes[..read]) || to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}

#[needs(postgres)]
#[test]
fn a_change_whose_answer_is_lost_is_made_once_and_followed_by_every_process() {
    const UPDATE: &str = "/v1/managers/sepm-1/certificate/february";
    let site = Site::found(2);
    let database = site.database.url();
    let place = database.split(['@', '/']).nth(3).unwrap().parse().unwrap();
    let relay = Relay::to(place);
    let through = database.replace(&place.to_string(), &relay.address.to_string());
    let first = Manager::of(&mut site.manager_at(1, &through));
    let second = site.start(2);
    let entries = || site.database.sql("SELECT count(*) FROM epm_lab.log");
    let (old, before) = (first.knows("sepm-1"), entries());
    relay.loses.store(true, Ordering::SeqCst);
    let (status, answer) = first.call("PUT", UPDATE, &json!({}));
    assert_eq!((status, &answer["code"]), (503, &json!("no-database")), "{answer}");
    let said = answer["detail"].as_str().unwrap();
    assert!(said.contains("the change may have been made, so look before you repeat it"), "{said}");
    let new = until("the other process to follow", || Some(second.knows("sepm-1")).filter(|one| *one != old));
    until("the process itself to follow", || (first.knows("sepm-1") == new).then_some(()));
    // Its clients are shown the certificate, and the same update again changes nothing.
    assert_eq!(first.presents(), new);
    let again = until("an answer", || {
        let (status, answer) = first.call("PUT", UPDATE, &json!({}));
        (status == 200).then_some(answer)
    });
    assert_eq!(second.knows("sepm-1"), new, "{again}");
    let made = |before: &str| before.parse::<u64>().unwrap() + 1;
    assert_eq!(entries().parse::<u64>().unwrap(), made(&before));
    assert_eq!(first.get("/v1/verdict")["database_error"], Value::Null);
}
