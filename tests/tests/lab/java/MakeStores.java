import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;

/** Writes keystores in the working directory: TYPE:FILE:KEY-PASSWORD:ALIAS..., all of one key, with the certificate ALIAS.crt. */
public class MakeStores {
    public static void main(String[] stores) throws Exception {
        byte[] encoded = Files.readAllBytes(Path.of("key.der"));
        PrivateKey key = KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(encoded));
        for (String store : stores) {
            String[] parts = store.split(":");
            KeyStore made = KeyStore.getInstance(parts[0]);
            made.load(null, null);
            for (int place = 3; place < parts.length; place++) {
                String alias = parts[place];
                Certificate certificate;
                try (InputStream file = Files.newInputStream(Path.of(alias + ".crt"))) {
                    certificate = CertificateFactory.getInstance("X.509").generateCertificate(file);
                }
                if (parts[2].isEmpty()) {
                    made.setCertificateEntry("ca", certificate);
                } else {
                    made.setKeyEntry(alias, key, parts[2].toCharArray(), new Certificate[] {certificate});
                }
            }
            try (OutputStream file = Files.newOutputStream(Path.of(parts[1]))) {
                made.store(file, "storepw1".toCharArray());
            }
        }
    }
}
