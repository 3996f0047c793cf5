//! Connectors are read as Tomcat reads them, and limits hold.

use super::*;

const TLS: &str = "SSLEnabled='true' scheme='https'";

fn server(connectors: &str) -> String {
    format!("<Server port='-1'><Service name='SCM'>{connectors}<Engine/></Service></Server>")
}

#[test]
fn a_deep_file_and_entities_that_make_much_of_little_are_refused() {
    let deep = format!("<Server>{}", "<a>".repeat(300_000));
    let refused = connectors(&deep).unwrap_err().to_string();
    assert!(refused.ends_with("its elements are more than 64 levels deep"), "{refused}");
    let bomb = format!(
        "<!DOCTYPE x [<!ENTITY a \"{}\">]>{}",
        "x".repeat(300_000),
        server(&format!("<Connector port='8446' a='{}' {TLS}/>", "&a;".repeat(100_000)))
    );
    let refused = connectors(&bomb).unwrap_err().to_string();
    assert!(refused.ends_with("bytes of one attribute"), "{refused}");
}

/// The keystore's path, type, password, alias and key password, or the error.
fn keystore(connectors: &str) -> String {
    match connector(&server(connectors), None) {
        Ok(Connector { source: CertificateSource::Keystore(one), .. }) => format!(
            "{} {} {} {} {}",
            one.file.as_deref().unwrap_or("none"),
            one.store_type,
            one.password.reveal(),
            one.alias.as_deref().unwrap_or("none"),
            one.key_password.as_ref().map_or("none", |password| password.reveal())
        ),
        Ok(Connector { source: CertificateSource::Pem { certificate, key, .. }, .. }) => {
            format!("pem {certificate} {key}")
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn attributes_of_the_connector_and_of_the_nested_certificate_mean_the_same() {
    let of_connector = |more: &str| keystore(&format!("<Connector port='8446' {TLS} {more}/>"));
    assert_eq!(of_connector("keystoreFile='k' keystorePass='p'"), "k JKS p none none");
    assert_eq!(of_connector("keystoreFile='k'"), "k JKS changeit none none");
    assert_eq!(of_connector("keystorePass='p'"), "none JKS p none none");
    assert_eq!(of_connector("KeystoreFile='k' KeyAlias='a'"), "k JKS changeit a none");
    let all = "keystoreFile='k' keystoreType='PKCS12' keystorePass='p' keyAlias='a' keyPass='q'";
    assert_eq!(of_connector(all), "k PKCS12 p a q");
    assert_eq!(of_connector("SSLCertificateFile='c' SSLCertificateKeyFile='d'"), "pem c d");
    let nested = |more: &str, hosts: &str| {
        keystore(&format!("<Connector port='8446' {TLS} {more}>{hosts}</Connector>"))
    };
    let all = "<Certificate certificateKeystoreFile='k' certificateKeystoreType='PKCS12' \
               certificateKeystorePassword='p' certificateKeyAlias='a' certificateKeyPassword='q'/>";
    assert_eq!(nested("", &format!("<SSLHostConfig>{all}</SSLHostConfig>")), "k PKCS12 p a q");
    assert_eq!(
        nested("", "<SSLHostConfig certificateKeystoreFile='k' certificateKeyAlias='a'/>"),
        "k JKS changeit a none"
    );
    let named = "<SSLHostConfig hostName='A'><Certificate certificateKeystoreFile='k'/></SSLHostConfig>";
    assert_eq!(nested("defaultSSLHostConfigName='a'", named), "k JKS changeit none none");
    assert!(nested("", named).contains("No SSLHostConfig element was found with the hostName [_default_]"));
    let twice = nested("sslProtocol='TLS'", &format!("<SSLHostConfig>{all}</SSLHostConfig>"));
    assert!(twice.contains("Multiple SSLHostConfig elements were provided"), "{twice}");
}

#[test]
fn of_several_connectors_the_one_of_the_port_is_read_else_the_products_else_the_first_for_https() {
    let one = |port: &str, alias: &str| {
        format!("<Connector port='{port}' {TLS} keystoreFile='k' keyAlias='{alias}'/>")
    };
    let all = server(
        &["<Connector port='9090'/>", &one("8443", "console"), &one("8446", "rest"), &one("9000", "other")]
            .concat(),
    );
    let alias = |port| match connector(&all, port).unwrap().source {
        CertificateSource::Keystore(one) => one.alias.unwrap(),
        CertificateSource::Pem { .. } => panic!("a keystore"),
    };
    let found = [Some(9000), Some(8443), Some(1), None].map(alias);
    assert_eq!(found, ["other", "console", "rest", "rest"]);
    assert_eq!(keystore("<Connector port='8446'/>"), ServerXmlError::NoConnector.to_string());
    assert_eq!(
        keystore(&(one("1", "first") + &one("2", "second"))),
        "k JKS changeit first none",
        "neither is the product's"
    );
}

#[test]
fn entities_comments_and_properties_are_read_and_a_file_that_is_not_xml_is_refused() {
    let xml = "<?xml version='1.0'?><!DOCTYPE Server [<!ENTITY pw \"se&#99;ret\">]><Server><!-- \
               <Service><Connector/></Service> --><Service><Connector port='1' SSLEnabled='TRUE' \
               keystoreFile='${catalina.base}/etc/k' keystorePass='&pw;&lt;'/></Service></Server>";
    let CertificateSource::Keystore(found) = connector(xml, None).unwrap().source else { panic!() };
    assert_eq!((found.file.as_deref(), found.password.reveal()), (Some("./etc/k"), "secret<"));
    for broken in ["<Server", "<Server>", "", "<Server><Service></Server></Service>"] {
        assert!(matches!(connector(broken, None), Err(ServerXmlError::Xml { .. })), "{broken}");
    }
    let twice = "<Server><Service><Connector port='1' port='2'/></Service></Server>";
    assert!(matches!(connector(twice, None), Err(ServerXmlError::Xml { .. })));
    let outside = format!("<Server><Connector port='1' {TLS} keystoreFile='k'/></Server>");
    assert_eq!(connector(&outside, None).unwrap_err(), ServerXmlError::NoConnector);
}
