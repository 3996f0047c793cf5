//! Where a database is and how it is reached: `postgres://USER@HOST:PORT/DATABASE`, and the password from elsewhere.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;

use super::tls::Tls;

/// The longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// A database, with what is needed to log in.
#[derive(Clone)]
pub(crate) struct Place {
    pub(super) config: Config,
    pub(super) tls: Tls,
}

/// Without its password.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = self.config.get_user() {
            write!(f, "{user}@")?;
        }
        write!(f, "{}", host_of(&self.config))?;
        if let Some(port) = self.config.get_ports().first() {
            write!(f, ":{port}")?;
        }
        write!(f, "/{}", self.config.get_dbname().or(self.config.get_user()).unwrap_or_default())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

/// Where a password may come from, in this order.
#[derive(Debug, Default)]
pub(crate) struct Passwords {
    /// The password itself, from a file of its own or from `PGPASSWORD`.
    pub(crate) own: Option<String>,
    /// The text of a file of passwords in the format of libpq.
    pub(crate) file: Option<String>,
}

impl Place {
    /// Reads a URL. `read` reads the file of certificates that the URL names.
    ///
    /// # Errors
    ///
    /// When it is no such URL, has a password, or does not say how a remote host is to be trusted.
    pub(crate) fn read(
        url: &str,
        passwords: &Passwords,
        read: impl FnOnce(&Path) -> Result<Vec<u8>, String>,
    ) -> Result<Self, String> {
        let is_url = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
        if !is_url {
            return Err("expected postgres://USER@HOST:PORT/DATABASE".to_owned());
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut roots, mut rest) = (None, None, form_urlencoded::Serializer::new(String::new()));
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "sslmode" => mode = Some(value.into_owned()),
                "sslrootcert" => roots = Some(PathBuf::from(&*value)),
                _ => drop(rest.append_pair(&name, &value)),
            }
        }
        // The parser decodes percent signs, and takes a plus sign as it is.
        let rest = rest.finish().replace('+', "%20");
        let base = if rest.is_empty() { base.to_owned() } else { format!("{base}?{rest}") };
        let mut config: Config = base.parse().map_err(|error| why(&error))?;
        if config.get_password().is_some() {
            return Err("it has a password, which every user of the machine can see in the list of processes: leave it out, \
                        and set PGPASSWORD, PGPASSFILE or `--password-file`"
                .to_owned());
        }
        if config.get_hosts().len() + config.get_hostaddrs().len() != 1 {
            return Err("expected one host".to_owned());
        }
        let found = passwords.own.clone().or_else(|| in_password_file(passwords.file.as_ref()?, &config));
        if let Some(password) = found {
            config.password(password);
        }
        let tls = match (mode.as_deref(), roots) {
            (Some("disable"), None) => Tls::none(),
            (None, None) if is_local(&config) => Tls::none(),
            (Some("require"), None) => Tls::unverified()?,
            (None | Some("verify-full"), Some(file)) => Tls::trusting(&read(&file)?, &file)?,
            (None, None) => {
                return Err(format!(
                    "{} is another machine: expected sslrootcert=FILE in the URL, with the certificate of the authority that signed \
                     the database's; or sslmode=require (encrypted, and any server is trusted) or sslmode=disable (plain)",
                    host_of(&config)
                ));
            }
            (Some("verify-full"), None) => {
                return Err("sslmode=verify-full: expected sslrootcert=FILE as well".to_owned());
            }
            (Some(mode), Some(_)) => {
                return Err(format!("sslmode={mode}: expected verify-full with sslrootcert"));
            }
            (Some(mode), None) => {
                return Err(format!("sslmode={mode}: expected disable, require or verify-full"));
            }
        };
        config.ssl_mode(if tls.is_used() { SslMode::Require } else { SslMode::Disable });
        config.connect_timeout(CONNECT);
        config.keepalives_idle(Duration::from_secs(5));
        config.tcp_user_timeout(Duration::from_secs(10));
        Ok(Self { config, tls })
    }
}

/// The host, or the folder of the socket.
fn host_of(config: &Config) -> String {
    match (config.get_hosts().first(), config.get_hostaddrs().first()) {
        (Some(Host::Tcp(host)), _) => host.clone(),
        (Some(Host::Unix(folder)), _) => folder.display().to_string(),
        (None, Some(address)) => address.to_string(),
        (None, None) => "localhost".to_owned(),
    }
}

fn is_local(config: &Config) -> bool {
    let is_loopback =
        |host: &str| host == "localhost" || host.parse().is_ok_and(|one: std::net::IpAddr| one.is_loopback());
    match (config.get_hosts().first(), config.get_hostaddrs().first()) {
        (Some(Host::Tcp(host)), _) => is_loopback(host),
        (Some(Host::Unix(_)), _) => true,
        (None, Some(address)) => address.is_loopback(),
        (None, None) => false,
    }
}

/// The password in a file of lines `HOST:PORT:DATABASE:USER:PASSWORD`, in which `*` stands for anything and `\` quotes.
fn in_password_file(text: &str, config: &Config) -> Option<String> {
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let user = config.get_user().unwrap_or_default();
    let wanted = [host_of(config), port, config.get_dbname().unwrap_or(user).to_owned(), user.to_owned()];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = vec![String::new()];
        let mut characters = line.chars();
        while let Some(one) = characters.next() {
            match one {
                '\\' => fields.last_mut()?.extend(characters.next()),
                ':' if fields.len() < 5 => fields.push(String::new()),
                other => fields.last_mut()?.push(other),
            }
        }
        let password = fields.pop().filter(|_| fields.len() == 4)?;
        let is_meant = fields.iter().zip(&wanted).all(|(field, wanted)| field == "*" || field == wanted);
        is_meant.then_some(password)
    })
}

/// What to do about causes that only their words tell.
const HINTS: [(&str, &str); 4] = [
    ("password missing", PASSWORD_HINT),
    ("does not support TLS", "switch `ssl` on in postgresql.conf, or add `?sslmode=disable` to the URL"),
    ("unexpected message from server", NO_POSTGRESQL_HINT),
    ("error parsing response from server", NO_POSTGRESQL_HINT),
];
const PASSWORD_HINT: &str =
    "give the password with `--password-file FILE`, in PGPASSWORD, or in a file that PGPASSFILE names";
/// What to look at where something answers otherwise than PostgreSQL does, or not at all.
pub(super) const NO_POSTGRESQL_HINT: &str =
    "make sure that this is the host and port of a PostgreSQL server, and that no firewall is between";

/// An error of the database with its causes, without the words that say nothing, and what to do where that is known.
pub(super) fn why(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        let hint = match *error.code() {
            SqlState::INVALID_PASSWORD => PASSWORD_HINT,
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                "the server's roles, and its pg_hba.conf, say who may connect from where"
            }
            SqlState::INVALID_CATALOG_NAME => "make it with `createdb`, or name another database",
            SqlState::UNDEFINED_TABLE
            | SqlState::UNDEFINED_COLUMN
            | SqlState::UNDEFINED_FUNCTION
            | SqlState::DATATYPE_MISMATCH
            | SqlState::NOT_NULL_VIOLATION => {
                "the tables were altered: put them back, or found the site anew in another database"
            }
            SqlState::LOCK_NOT_AVAILABLE => "another session holds a lock on the tables: end it",
            _ => return error.message().to_owned(),
        };
        return format!("{}; {hint}", error.message());
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        if next.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == ErrorKind::ConnectionRefused) {
            text.push_str("; start PostgreSQL there, or give another host and port");
        }
        cause = next.source();
    }
    if let Some((_, hint)) = HINTS.iter().find(|(words, _)| text.contains(words)) {
        text = format!("{text}; {hint}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Place, String> {
        let file = Some("db:*:lab:anna:se\\:cret\n# x\n*:5433:*:*:other\n".to_owned());
        Place::read(url, &Passwords { own: None, file }, |file| Err(format!("read {}", file.display())))
    }

    #[test]
    fn a_url_says_where_and_a_remote_host_needs_a_word_on_trust() {
        let local = read("postgres://anna@127.0.0.1:5433/lab").unwrap();
        assert_eq!(local.to_string(), "postgres://anna@127.0.0.1:5433/lab");
        assert_eq!(local.config.get_password(), Some(&b"other"[..]));
        let socket = read("postgresql:///lab?host=/tmp/a%20b&user=anna").unwrap();
        assert_eq!(socket.to_string(), "postgres://anna@/tmp/a b/lab");
        let plain = read("postgres://anna@db/lab?sslmode=disable").unwrap();
        assert_eq!(plain.config.get_password(), Some(&b"se:cret"[..]));
        for (url, expected) in [
            ("http://db/lab", "expected postgres://"),
            ("postgres://anna:hush@db/lab", "it has a password"),
            ("postgres://anna@db/lab?password=hush", "it has a password"),
            ("postgres://anna@db/lab", "db is another machine: expected sslrootcert=FILE"),
            (
                "postgres://anna@db/lab?sslmode=prefer",
                "sslmode=prefer: expected disable, require or verify-full",
            ),
            ("postgres://anna@db/lab?sslmode=verify-full", "expected sslrootcert=FILE as well"),
            ("postgres://anna@db/lab?sslrootcert=ca.pem", "read ca.pem"),
            ("postgres://anna@db,other/lab", "expected one host"),
            ("postgres://anna@db:x/lab", "invalid"),
            ("postgres://anna@db/lab?nonsense=1", "nonsense"),
        ] {
            let error = read(url).unwrap_err();
            assert!(error.contains(expected) && !error.contains("hush"), "{url}: {error}");
        }
    }
}
