//! Pages of the REST API with a hundred computers, and with a hundred thousand.
//!
//! ```text
//! cargo bench -p epm-server --bench pages
//! ```
//!
//! Read the ratios, not the absolute figures: both sites are asked in turns within one run, over kept connections, by Python's own
//! client. *After a move* is the first page after the registry has changed. Nothing here passes or fails.

use std::net::Ipv4Addr;
use std::process::Command as Process;

use epm_protocol::heartbeat::Registration;
use epm_protocol::id::{Guid, HardwareKey};
use epm_protocol::site::Command;
use epm_protocol::version::ClientVersion;
use epm_server::MockSite;

/// Asks both sites in turns, and prints how long it took.
const ASK: &str = r#"
import http.client, json, ssl, statistics, sys, time
TRUST = ssl._create_unverified_context()
class Site:
    def __init__(self, base):
        self.connection = http.client.HTTPSConnection(base.removeprefix("https://"), context=TRUST)
        self.headers = {"Content-Type": "application/json"}
        self.headers["Authorization"] = "Bearer " + self.call("POST", "/identity/authenticate", {"username": "admin", "password": "epm-lab"})["token"]
        self.total = self.call("GET", "/computers?pageSize=1")["totalElements"]
        groups = self.call("GET", "/groups")["content"]
        self.groups = [one["id"] for one in groups]
        self.machine = self.call("GET", "/computers?pageSize=1")["content"][0]["hardwareKey"]
    def call(self, method, path, body=None):
        self.connection.request(method, "/sepm/api/v1" + path, body and json.dumps(body), self.headers)
        return json.loads(self.connection.getresponse().read())
    def timed(self, path):
        begun = time.perf_counter()
        self.connection.request("GET", "/sepm/api/v1" + path, None, self.headers)
        self.connection.getresponse().read()
        return (time.perf_counter() - begun) * 1000
    def move(self):
        self.groups.reverse()
        self.call("PATCH", "/computers", [{"group": {"id": self.groups[0]}, "hardwareKey": self.machine}])
few, many = Site(sys.argv[1]), Site(sys.argv[2])
print(f"{'':28}{few.total:>10}{many.total:>10}     ratio   (median of 40, in ms)")
kinds = [
    ("the first page of 20", "/computers?pageIndex=1", False),
    ("a page in the middle", "/computers?pageIndex={middle}", False),
    ("the last page", "/computers?pageIndex={last}", False),
    ("the last page, descending", "/computers?pageIndex={last}&order=DESC&sort=COMPUTER_ID", False),
    ("a page of 100", "/computers?pageSize=100", False),
    ("the first page after a move", "/computers?pageIndex=1", True),
]
for name, path, moves in kinds:
    took = {few: [], many: []}
    for _ in range(40):
        for site in (few, many):
            if moves:
                site.move()
            last = site.total // 20
            took[site].append(site.timed(path.format(middle=max(1, last // 2), last=last)))
    one, other = (statistics.median(took[site]) for site in (few, many))
    print(f"{name:28}{one:10.2f}{other:10.2f}{other / one:10.2f}")
"#;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("this measures only when it is asked to: cargo bench -p epm-server --bench pages");
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (few, many) = runtime.block_on(async { (site_with(100).await, site_with(100_000).await) });
    let bases = [&few, &many].map(|site| site.addresses()[0].rest.clone().expect("a REST API"));
    let asked = Process::new("python3").arg("-c").arg(ASK).args(bases).status();
    println!("{}", asked.map_or_else(|error| error.to_string(), |status| status.to_string()));
}

/// A site with so many computers.
async fn site_with(count: usize) -> MockSite {
    let site = MockSite::builder().rest_api(0).start().await.expect("a site");
    let domain = site.look(epm_protocol::site::Site::domain);
    let registrations = (0..count).map(|number| {
        Command::Register(Registration {
            domain,
            hardware_key: HardwareKey(Guid::derive(0, "bench", &number.to_string(), Ipv4Addr::LOCALHOST)),
            computer_name: format!("pc-{:06}", (number * 7_919) % 100_003),
            version: ClientVersion::new(14, 3),
            preferred_group: None,
        })
    });
    site.apply_all(&registrations.collect::<Vec<_>>()).expect("all are registered");
    site
}
