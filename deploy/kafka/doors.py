"""Who may come in at a local cluster's door: throw-away certificates and a user, made once under the state folder.

They are for tests and for trying things out: the authority's key lies beside its certificate, and so does the
password. The nodes among themselves, and the controllers, speak in the clear on loopback ports of their own.
"""

import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jars import NodeError

USER = "precedent"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_LOGIN = "org.apache.kafka.common.security"
_AUTHORITY = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
_NODE = "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n"
_CLIENT = "extendedKeyUsage=clientAuth\n"


@dataclass(frozen=True, slots=True)
class Door:
    """The clients' listener: its protocol, and the folder with what it and its clients need."""

    protocol: str
    folder: Path

    @property
    def tls(self) -> bool:
        return self.protocol.endswith("SSL")

    @property
    def sasl(self) -> bool:
        return self.protocol.startswith("SASL_")

    def prepare(self) -> None:
        """Make what is not there yet."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.sasl and not (self.folder / "password").exists():
            (self.folder / "password").write_text(secrets.token_urlsafe(24) + "\n", encoding="utf-8")
        if self.tls and not (self.folder / "client.pem").exists():
            self._sign("ca", "/CN=local authority", _AUTHORITY)
            self._sign("node", "/CN=local node", _NODE, by="ca")
            self._sign("client", f"/CN={USER}", _CLIENT, by="ca")
            both = (self.folder / name for name in ("node.key", "node.pem"))
            (self.folder / "keystore.pem").write_bytes(b"".join(path.read_bytes() for path in both))

    @property
    def password(self) -> str:
        return (self.folder / "password").read_text(encoding="utf-8").strip()

    def node_settings(self) -> Mapping[str, object]:
        """What a node must know of its clients' listener."""
        listener = f"listener.name.{self.protocol.lower()}."
        said: dict[str, object] = {}
        if self.tls:
            said |= {
                f"{listener}ssl.keystore.type": "PEM",
                f"{listener}ssl.keystore.location": self.folder / "keystore.pem",
                f"{listener}ssl.truststore.type": "PEM",
                f"{listener}ssl.truststore.location": self.folder / "ca.pem",
                # with a password the client needs no certificate; without one the certificate says who it is
                f"{listener}ssl.client.auth": "none" if self.sasl else "required",
            }
        if self.sasl:
            said |= {
                f"{listener}sasl.enabled.mechanisms": ",".join(MECHANISMS),
                f"{listener}plain.sasl.jaas.config": f"{_LOGIN}.plain.PlainLoginModule required"
                f' user_{USER}="{self.password}";',
                **{
                    f"{listener}{name.lower()}.sasl.jaas.config": f"{_LOGIN}.scram.ScramLoginModule required;"
                    for name in MECHANISMS[1:]
                },
            }
        return said

    def format_options(self) -> list[str]:
        """What the log is formatted with, so that the users are there when the node starts."""
        if not self.sasl:
            return []
        user = f"[name={USER},password={self.password}]"
        return [word for name in MECHANISMS[1:] for word in ("--add-scram", f"{name}={user}")]

    def client_environment(self) -> dict[str, str]:
        """The variables by which a client of this project comes in."""
        said = {"PRECEDENT_KAFKA_SECURITY": self.protocol}
        if self.sasl:
            said["PRECEDENT_KAFKA_USERNAME"] = USER
            said["PRECEDENT_KAFKA_PASSWORD_FILE"] = str(self.folder / "password")
        if self.tls:
            said["PRECEDENT_KAFKA_CA"] = str(self.folder / "ca.pem")
        if self.tls and not self.sasl:
            said["PRECEDENT_KAFKA_CERT"] = str(self.folder / "client.pem")
            said["PRECEDENT_KAFKA_KEY"] = str(self.folder / "client.key")
        return said

    def _sign(self, name: str, subject: str, extensions: str, *, by: str = "") -> None:
        """Make NAME.key and NAME.pem, signed by another of the folder or by itself."""
        key, request, pem, said = (self.folder / f"{name}.{end}" for end in ("key", "csr", "pem", "ext"))
        said.write_text(extensions, encoding="utf-8")
        _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(key))
        _openssl("req", "-new", "-key", str(key), "-subj", subject, "-out", str(request))
        signer = ["-CA", f"{self.folder / by}.pem", "-CAkey", f"{self.folder / by}.key", "-CAcreateserial"]
        _openssl(
            *("x509", "-req", "-in", str(request), "-days", "30", "-extfile", str(said), "-out", str(pem)),
            *(signer if by else ["-signkey", str(key)]),
        )


def _openssl(*arguments: str) -> None:
    try:
        done = subprocess.run(["openssl", *arguments], check=False, capture_output=True, text=True)
    except FileNotFoundError:
        raise NodeError("certificates need openssl on PATH, there is none") from None
    if done.returncode != 0:
        raise NodeError(f"openssl {arguments[0]}: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
