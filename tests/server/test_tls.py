"""TLS with a certificate of one's own."""

import shutil
import socket
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import botocore.exceptions
import pytest

from ..process import CREDENTIALS, NotStartedError, ServerProcess, client


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-made certificate for this machine's loopback names, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("needs the openssl command")
    directory = tmp_path_factory.mktemp("tls")
    cert, key = directory / "cert.pem", directory / "key.pem"
    kind = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    names = ("-subj", "/CN=encola-tests", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
    command = ["openssl", "req", *kind, *names, "-out", str(cert), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


def variables(certificate: tuple[Path, Path]) -> dict[str, str]:
    return {
        "ENCOLA_SERVER__TLS_CERT": str(certificate[0]),
        "ENCOLA_SERVER__TLS_KEY": str(certificate[1]),
        "ENCOLA_CREDENTIALS": CREDENTIALS,
        "ENCOLA_LIMITS__HEADER_SECONDS_MAX": "1",
        "ENCOLA_LIMITS__SWEEP_SECONDS": "0.1",
    }


def test_clients_that_trust_the_certificate_are_served(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    with ServerProcess(tmp_path, environment=variables(certificate)) as server:
        assert server.url.startswith("https://127.0.0.1:")
        sqs = client(server.url, verify=str(certificate[0]))
        url = sqs.create_queue(QueueName="work")["QueueUrl"]
        assert url.startswith(server.url)  # with https
        body = "x" * 1_000_000
        sqs.send_message(QueueUrl=url, MessageBody=body)
        assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == body
        trust = ssl.create_default_context(cafile=str(certificate[0]))
        with urlopen(f"{server.url}/health", context=trust) as answer:
            assert answer.status == 200

        doubter = client(server.url)
        with pytest.raises(botocore.exceptions.SSLError):
            doubter.list_queues()
        assert server.stop() == 0
        assert "Traceback" not in server.logged()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_what_is_no_tls_is_closed_and_harms_nobody(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    with ServerProcess(tmp_path, environment=variables(certificate)) as server:
        silent = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain:
            plain.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with suppress(ConnectionResetError):
                assert not plain.recv(1000).startswith(b"HTTP")
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection,
            pytest.raises((ssl.SSLError, OSError)),
        ):
            old.wrap_socket(connection)
        with suppress(ConnectionResetError):
            assert silent.recv(1000) == b""  # its handshake took too long
        assert client(server.url, verify=str(certificate[0])).list_queues()
        assert server.stop() == 0
        assert "Traceback" not in server.logged()


def test_a_certificate_that_is_none_is_told(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    _, key = certificate
    for wrong in ((key, key), (tmp_path / "nothing.pem", key)):
        server = ServerProcess(tmp_path, environment=variables(wrong))
        with pytest.raises(NotStartedError, match="exit status 2") as caught:
            server.start()
        assert "server.tls_cert" in str(caught.value)
        assert "Traceback" not in str(caught.value)
