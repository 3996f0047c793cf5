import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.cert.Certificate;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.List;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogManager;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509ExtendedTrustManager;
import org.apache.catalina.Service;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.startup.Catalina;

/** Starts Tomcat with each of these files as its server.xml, and prints what its first connector serves, or why it does not. */
public class ServedByTomcat {
    public static void main(String[] files) throws Exception {
        LogManager.getLogManager().reset();
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, new TrustManager[] {new Trusting()}, null);
        Path used = Path.of(System.getProperty("catalina.base"), "conf", "server.xml");
        for (String file : files) {
            List<String> errors = new ArrayList<>();
            Handler handler = listening(errors);
            Logger.getLogger("").addHandler(handler);
            Files.copy(Path.of(file), used, StandardCopyOption.REPLACE_EXISTING);
            Catalina tomcat = new Catalina();
            tomcat.setUseNaming(false);
            tomcat.setUseShutdownHook(false);
            tomcat.setParentClassLoader(ServedByTomcat.class.getClassLoader());
            tomcat.load();
            String served = "";
            if (tomcat.getServer() != null) {
                tomcat.start();
                served = served(tomcat, context);
                tomcat.stop();
            }
            Logger.getLogger("").removeHandler(handler);
            String result = served.isEmpty() ? "down " + String.join("; ", errors) : "serves " + served;
            System.out.println(Path.of(file).getFileName() + " " + result.replace('\n', ' '));
        }
        System.exit(0);
    }

    /** The subject of the certificate that the first connector serves; empty if it does not. */
    private static String served(Catalina tomcat, SSLContext context) throws Exception {
        for (Service service : tomcat.getServer().findServices()) {
            for (Connector connector : service.findConnectors()) {
                if (connector.getLocalPort() <= 0) return "";
                try (SSLSocket socket = (SSLSocket)
                        context.getSocketFactory().createSocket("127.0.0.1", connector.getLocalPort())) {
                    socket.setSoTimeout(30_000);
                    socket.startHandshake();
                    Certificate[] chain = socket.getSession().getPeerCertificates();
                    return ((X509Certificate) chain[0]).getSubjectX500Principal().getName() + " x" + chain.length;
                } catch (javax.net.ssl.SSLException error) {
                    return "";
                }
            }
        }
        return "";
    }

    private static Handler listening(List<String> errors) {
        return new Handler() {
            @Override
            public void publish(LogRecord record) {
                if (record.getLevel().intValue() < Level.WARNING.intValue()) return;
                for (Throwable one = record.getThrown(); one != null; one = one.getCause()) {
                    errors.add(one.toString());
                }
            }

            @Override
            public void flush() {}

            @Override
            public void close() {}
        };
    }

    private static class Trusting extends X509ExtendedTrustManager {
        @Override
        public void checkClientTrusted(X509Certificate[] chain, String kind) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String kind) {}

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String kind, Socket socket) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String kind, Socket socket) {}

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String kind, SSLEngine engine) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String kind, SSLEngine engine) {}

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }
}
