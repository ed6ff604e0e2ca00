"""A client that greets a port over TLS, as a peer of any kind would."""

import socket
import ssl
import warnings

HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"  # an HTTP/2 client's first words (RFC 9113, 3.4)
SETTINGS = 4
PATIENCE = 25.0  # genuine sites register within 5 s here


def context(place, pair=None, version=None):
    """A client that checks the server, with or without a certificate, of any TLS version or of one."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    made.load_verify_locations(place.kit("hospital-a") / "startup" / "rootCA.pem")
    made.set_alpn_protocols(["h2"])
    if pair:
        made.load_cert_chain(pair / "client.crt", pair / "client.key")
    if version:
        made.set_ciphers("DEFAULT:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made.minimum_version = made.maximum_version = version
    return made


def greet(port, tls):
    """Why the server does not talk to us, or None if it does: with TLS 1.3 it judges our certificate afterwards."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 5) as raw,
            tls.wrap_socket(raw, server_hostname="localhost") if tls else raw as line,
        ):
            line.sendall(HELLO)
            answer = line.recv(9)
    except (ssl.SSLError, OSError) as error:
        return getattr(error, "reason", None) or type(error).__name__
    return None if len(answer) == 9 and answer[3] == SETTINGS else "no answer"
