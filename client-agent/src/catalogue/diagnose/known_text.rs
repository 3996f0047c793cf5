//! Texts of other programs around a manager: Apache, Java's keytool, curl, OpenSSL, Windows and other operating systems. Each
//! names the finding that it reports, if it reports one.
//!
//! The texts are those of the programs' own sources. Which failure a finding belongs to is in the catalogue.

/// A text of another program.
#[derive(Debug)]
pub(super) struct KnownText {
    /// The program or library whose words these are; any program that uses the library writes them.
    pub(super) program: &'static str,
    /// Words that are all in the line, in lower case.
    words: &'static [&'static str],
    /// The stable code of the finding; none if the line reports no failure.
    pub(super) code: Option<&'static str>,
    /// What the line says.
    pub(super) meaning: &'static str,
}

const APACHE: &str = "Apache";
const JAVA: &str = "Java";
const CURL: &str = "curl";
const OPENSSL: &str = "OpenSSL";
const WINDOWS: &str = "Windows";
const SYSTEM: &str = "operating system";
/// How lines begin that name their program.
const NAMED: &[(&str, &str)] = &[("curl: (", CURL), ("java.", JAVA), ("javax.", JAVA)];

const NO_PAIR: &str = "the certificate and the private key do not belong together";
const BAD_CERTIFICATE: &str =
    "the certificate file cannot be read: Apache expects PEM, the server's certificate first";
const BAD_KEY: &str = "the key file cannot be read: Apache expects PEM, not encrypted";
const NO_START: &str = "the web server does not start; the line before says why";
const TAKEN: &str = "another program holds the port";
const FULL: &str = "the web server is out of connections";
const UNTRUSTED: &str = "the certificate, or its issuer, is not trusted";
const EXPIRED: &str = "the certificate has expired";
const EARLY: &str = "the certificate is not valid yet";
const OTHER_NAME: &str = "the certificate is for another name";
const NO_TLS: &str = "the two sides have no version or cipher of TLS in common, or one does not speak TLS";
const NO_STORE_PASSWORD: &str = "the keystore's password is wrong, or the file is damaged";
const NO_KEY_PASSWORD: &str = "the key's password is wrong; in a keystore it may differ from the store's";
const NO_STORE: &str = "the file is no keystore of the expected type";
const DOWN: &str = "no program listens on the port";
const CUT: &str = "the connection ended before the answer was complete";
const SILENT: &str = "no answer came in time";

macro_rules! texts {
    ($($program:ident, $code:expr, $meaning:expr, [$($words:expr),+];)*) => {
        &[$(KnownText { program: $program, words: &[$($words),+], code: $code, meaning: $meaning },)*]
    };
}

/// All known texts; the first that fits counts.
const TEXTS: &[KnownText] = texts! {
    APACHE, Some("key-mismatch"), NO_PAIR, ["ah02565"];
    APACHE, Some("key-mismatch"), NO_PAIR, ["certificate and private key", "do not match"];
    APACHE, Some("unreadable-certificate"), BAD_CERTIFICATE, ["ah02562"];
    APACHE, Some("unreadable-certificate"), BAD_CERTIFICATE, ["ah02561"];
    APACHE, Some("unreadable-certificate"), BAD_CERTIFICATE, ["failed to configure certificate"];
    APACHE, Some("unreadable-certificate"), "no certificate and key were configured", ["ah02572"];
    APACHE, Some("unreadable-key"), BAD_KEY, ["ah02564"];
    APACHE, Some("unreadable-key"), BAD_KEY, ["ah02563"];
    APACHE, Some("unreadable-key"), BAD_KEY, ["ah02577"];
    APACHE, Some("unreadable-key"), BAD_KEY, ["failed to configure", "private key"];
    APACHE, Some("web-server-down"), NO_START, ["ah02312"];
    APACHE, Some("web-server-down"), NO_START, ["fatal error initialising mod_ssl"];
    APACHE, Some("web-server-down"), NO_START, ["ah00016"];
    APACHE, Some("web-server-down"), NO_START, ["ah00015"];
    APACHE, Some("web-server-down"), "the certificate file is missing or empty", ["sslcertificatefile", "does not exist or is empty"];
    APACHE, Some("web-server-down"), "the key file is missing or empty", ["sslcertificatekeyfile", "does not exist or is empty"];
    APACHE, Some("port-taken"), TAKEN, ["ah00072"];
    APACHE, Some("port-taken"), TAKEN, ["could not bind to address"];
    APACHE, Some("port-taken"), TAKEN, ["ah00451"];
    APACHE, Some("port-taken"), TAKEN, ["no listening sockets available"];
    APACHE, Some("status-503"), FULL, ["ah00484"];
    APACHE, Some("status-503"), FULL, ["ah00326"];
    APACHE, Some("status-503"), FULL, ["maxrequestworkers setting"];
    APACHE, Some("status-503"), FULL, ["ran out of threads to serve requests"];
    APACHE, Some("tls-failed"), "a client broke off the TLS handshake", ["ah02008"];
    APACHE, Some("unreadable-certificate"), BAD_CERTIFICATE, ["unable to read server certificate"];
    APACHE, Some("unreadable-key"), BAD_KEY, ["unable to read server private key"];
    APACHE, Some("web-server-down"), "the configuration is invalid; the web server does not start", ["ah00526"];
    APACHE, None, "the certificate does not name this server, which clients with pinned certificates do not ask for", ["ah01909"];
    APACHE, None, "the certificate may also issue others", ["ah01906"];
    APACHE, None, "the server has started", ["resuming normal operations"];
    APACHE, None, "the command line of the server", ["ah00094"];
    APACHE, None, "the server guesses its own name", ["ah00558"];
    APACHE, None, "a process of the server has started", ["ah00418"];
    APACHE, None, "threads of the server have started", ["ah00354"];
    APACHE, None, "threads of the server have ended", ["ah00364"];

    JAVA, Some("wrong-store-password"), NO_STORE_PASSWORD, ["keystore was tampered with, or password was incorrect"];
    JAVA, Some("wrong-store-password"), NO_STORE_PASSWORD, ["keystore password was incorrect"];
    JAVA, Some("wrong-key-password"), NO_KEY_PASSWORD, ["cannot recover key"];
    JAVA, Some("wrong-key-password"), NO_KEY_PASSWORD, ["given final block not properly padded"];
    JAVA, Some("unreadable-store"), NO_STORE, ["invalid keystore format"];
    JAVA, Some("unreadable-store"), NO_STORE, ["unrecognized keystore format"];
    JAVA, Some("unreadable-store"), NO_STORE, ["toderinputstream rejects tag type"];
    JAVA, Some("unreadable-store"), NO_STORE, ["derinputstream.getlength()"];
    JAVA, Some("unreadable-certificate"), "the file is no X.509 certificate", ["input not an x.509 certificate"];
    JAVA, Some("unreadable-certificate"), "the file is no X.509 certificate", ["could not parse certificate"];
    JAVA, Some("incomplete-chain"), "the issuers of the reply are not in the keystore", ["failed to establish chain from reply"];
    JAVA, Some("key-mismatch"), "the reply is for another key than the keystore's", ["public keys in reply and keystore don't match"];
    JAVA, Some("no-such-alias"), "the keystore has no entry of this alias", ["keytool error", "does not exist"];
    JAVA, Some("no-such-alias"), "the keystore has no private key of this alias", ["does not identify a key entry"];
    JAVA, Some("key-mismatch"), "the reply is for another key than the keystore's", ["certificate reply does not contain public key"];
    JAVA, None, "the certificate was added to the keystore", ["certificate was added to keystore"];
    JAVA, None, "the reply of the authority was added to the keystore", ["certificate reply was installed in keystore"];
    JAVA, Some("expired"), EXPIRED, ["certificateexpiredexception"];
    JAVA, Some("not-yet-valid"), EARLY, ["certificatenotyetvalidexception"];
    JAVA, Some("not-pinned"), UNTRUSTED, ["pkix path building failed"];
    JAVA, Some("not-pinned"), UNTRUSTED, ["unable to find valid certification path"];
    JAVA, Some("wrong-name"), OTHER_NAME, ["no subject alternative"];
    JAVA, Some("wrong-name"), OTHER_NAME, ["no name matching"];
    JAVA, Some("name-not-resolved"), "the name of the server is unknown", ["unknownhostexception"];
    JAVA, Some("tls-failed"), NO_TLS, ["no appropriate protocol"];
    JAVA, Some("not-pinned"), "the other side does not trust the certificate", ["fatal alert: certificate_unknown"];
    JAVA, Some("not-pinned"), "the other side does not trust the certificate", ["fatal alert: bad_certificate"];
    JAVA, Some("not-pinned"), "the other side does not trust the certificate", ["fatal alert: unknown_ca"];
    JAVA, Some("tls-failed"), NO_TLS, ["fatal alert: handshake_failure"];
    JAVA, Some("tls-failed"), NO_TLS, ["fatal alert: protocol_version"];

    CURL, Some("not-pinned"), UNTRUSTED, ["does not match pinned public key"];
    CURL, Some("wrong-name"), OTHER_NAME, ["no alternative certificate subject name matches"];
    CURL, Some("wrong-name"), OTHER_NAME, ["certificate subject name", "does not match target"];
    CURL, Some("not-pinned"), UNTRUSTED, ["peer certificate cannot be authenticated"];
    CURL, Some("not-pinned"), UNTRUSTED, ["ssl peer certificate or ssh remote key was not ok"];
    CURL, Some("connection-refused"), DOWN, ["couldn't connect to server"];
    CURL, Some("connection-refused"), DOWN, ["could not connect to server"];
    CURL, Some("connection-lost"), CUT, ["empty reply from server"];
    CURL, Some("connection-lost"), CUT, ["connection was reset"];
    CURL, Some("connection-lost"), CUT, ["transfer closed with"];
    CURL, Some("connection-lost"), CUT, ["server returned nothing"];
    CURL, Some("connection-lost"), CUT, ["failure when receiving data from the peer"];
    CURL, Some("connection-lost"), CUT, ["failed sending data to the peer"];
    CURL, Some("tls-failed"), NO_TLS, ["ssl connect error"];
    CURL, Some("timed-out"), SILENT, ["operation too slow"];
    CURL, Some("not-http"), "the answer is not HTTP", ["received http/0.9 when not allowed"];

    WINDOWS, Some("not-pinned"), UNTRUSTED, ["0x80090325"];
    WINDOWS, Some("not-pinned"), UNTRUSTED, ["sec_e_untrusted_root"];
    WINDOWS, Some("not-pinned"), UNTRUSTED, ["0x800b0109"];
    WINDOWS, Some("expired"), EXPIRED, ["0x80090328"];
    WINDOWS, Some("expired"), EXPIRED, ["sec_e_cert_expired"];
    WINDOWS, Some("expired"), EXPIRED, ["0x800b0101"];
    WINDOWS, Some("wrong-name"), OTHER_NAME, ["0x80090322"];
    WINDOWS, Some("wrong-name"), OTHER_NAME, ["sec_e_wrong_principal"];
    WINDOWS, Some("wrong-name"), OTHER_NAME, ["0x800b010f"];
    WINDOWS, Some("tls-failed"), NO_TLS, ["0x80090331"];
    WINDOWS, Some("tls-failed"), NO_TLS, ["sec_e_algorithm_mismatch"];
    WINDOWS, Some("tls-failed"), NO_TLS, ["0x80090326"];
    WINDOWS, Some("tls-failed"), NO_TLS, ["sec_e_illegal_message"];

    SYSTEM, Some("port-taken"), TAKEN, ["address already in use"];
    SYSTEM, Some("unreachable"), "there is no way to the address", ["no route to host"];
    SYSTEM, Some("unreachable"), "there is no way to the address", ["network is unreachable"];

    OPENSSL, Some("expired"), EXPIRED, ["certificate has expired"];
    OPENSSL, Some("not-yet-valid"), EARLY, ["certificate is not yet valid"];
    OPENSSL, Some("not-pinned"), UNTRUSTED, ["unable to get local issuer certificate"];
    OPENSSL, Some("not-pinned"), UNTRUSTED, ["unable to get issuer certificate"];
    OPENSSL, Some("not-pinned"), UNTRUSTED, ["unable to verify the first certificate"];
    OPENSSL, Some("not-pinned"), UNTRUSTED, ["self-signed certificate"];
    OPENSSL, Some("not-pinned"), UNTRUSTED, ["self signed certificate"];
    OPENSSL, Some("connection-lost"), CUT, ["unexpected eof while reading"];
    OPENSSL, Some("key-mismatch"), NO_PAIR, ["key values mismatch"];
    OPENSSL, Some("unreadable-certificate"), "the file is not PEM", ["no start line"];
    OPENSSL, Some("wrong-key-password"), "the key's password is wrong", ["bad decrypt"];
    OPENSSL, Some("wrong-key-password"), "the key is encrypted, and there is no password", ["bad password read"];
    OPENSSL, Some("wrong-store-password"), NO_STORE_PASSWORD, ["mac verify error"];
    OPENSSL, Some("wrong-store-password"), NO_STORE_PASSWORD, ["mac verify failure"];
    OPENSSL, Some("not-pinned"), UNTRUSTED, ["certificate verify failed"];
    OPENSSL, Some("expired"), "the other side refuses the certificate because it has expired", ["alert certificate expired"];
    OPENSSL, Some("not-pinned"), "the other side does not trust the certificate", ["alert unknown ca"];
    OPENSSL, Some("not-pinned"), "the other side does not trust the certificate", ["alert bad certificate"];
    OPENSSL, Some("not-pinned"), "the other side does not trust the certificate", ["alert certificate unknown"];
    OPENSSL, Some("wrong-name"), OTHER_NAME, ["hostname mismatch"];
    OPENSSL, Some("wrong-name"), OTHER_NAME, ["ip address mismatch"];
    OPENSSL, Some("tls-failed"), NO_TLS, ["no shared cipher"];
    OPENSSL, Some("tls-failed"), NO_TLS, ["no protocols available"];
    OPENSSL, Some("tls-failed"), NO_TLS, ["unsupported protocol"];
    OPENSSL, Some("tls-failed"), NO_TLS, ["wrong version number"];
    OPENSSL, Some("tls-failed"), NO_TLS, ["packet length too long"];
    OPENSSL, Some("tls-failed"), NO_TLS, ["alert handshake failure"];
    OPENSSL, Some("tls-failed"), NO_TLS, ["alert protocol version"];
    OPENSSL, Some("tls-failed"), "one side refuses a key that is too short", ["key too small"];
    OPENSSL, Some("tls-failed"), "one side refuses the algorithm of a signature", ["md too weak"];
};

/// The known text in a line, if there is one.
pub(super) fn find(line: &str) -> Option<&'static KnownText> {
    let line = line.to_lowercase();
    TEXTS.iter().find(|text| text.words.iter().all(|words| line.contains(words)))
}

/// The program that a line begins with; otherwise the one whose words the text has.
pub(super) fn program_of(line: &str, text: &KnownText) -> &'static str {
    let begins = |start: &str| line.trim_start().starts_with(start);
    NAMED.iter().find(|(start, _)| begins(start)).map_or(text.program, |(_, program)| program)
}

#[cfg(test)]
pub(super) fn all() -> &'static [KnownText] {
    TEXTS
}
