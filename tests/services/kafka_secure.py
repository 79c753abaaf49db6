"""A Java Kafka with TLS, logins and Kafka's own authorizer.

``python -m tests.services.kafka_secure`` starts one for development and keeps it.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import signal
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flowise_telemetry_transport import ClientName, KafkaSettings
from tests.services.certificates import Authority
from tests.services.kafka_java import JavaKafka

__all__ = ["PASSWORDS", "SecureKafka"]

PASSWORDS = {"app": "app-password", "consumer": "consumer-password", "operator": "operator-password"}
_LOGIN = "org.apache.kafka.common.security"
_LISTENERS = ("SASL_PLAINTEXT", "SASL_SSL", "SSL", "EXPIRED", "OTHERHOST")


class SecureKafka:
    """One broker: a plain listener for whoever sets it up, and one for each way to log in.

    ``EXPIRED`` and ``OTHERHOST`` show certificates that are out of date, and made for another host.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="secure-kafka-"))
        self.authority = Authority(self._folder / "ours")
        self.stranger = Authority(self._folder / "theirs", "another authority")
        self.client_certificate = self.authority.issue("client")
        self.encrypted_certificate = self.authority.issue("encrypted", passphrase="key-password")
        self._names = itertools.count()
        self._run = uuid.uuid4().hex[:6]
        self._broker = JavaKafka(
            self._properties(),
            _LISTENERS,
            [f"SCRAM-SHA-256=[name={user},password={password}]" for user, password in PASSWORDS.items()],
        )

    def _properties(self) -> dict[str, str]:
        users = " ".join(f'user_{user}="{password}"' for user, password in PASSWORDS.items())
        properties = {
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,"
            "SASL_SSL:SASL_SSL,SSL:SSL,EXPIRED:SSL,OTHERHOST:SSL",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,OAUTHBEARER",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "connection.failed.authentication.delay.ms": "100",
            # A login that is withdrawn ends its connections within seconds (KIP-368); others stay.
            "listener.name.sasl_plaintext.scram-sha-256.connections.max.reauth.ms": "5000",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.authority.issue("broker")),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.file),
            "listener.name.ssl.ssl.client.auth": "required",
        }
        for listener, certificate in {
            "expired": self.authority.issue("expired", days=-3),
            "otherhost": self.authority.issue("otherhost", host="kafka.example.com"),
        }.items():
            properties |= {
                f"listener.name.{listener}.ssl.keystore.type": "PEM",
                f"listener.name.{listener}.ssl.keystore.location": str(certificate),
                f"listener.name.{listener}.ssl.truststore.type": "PEM",
                f"listener.name.{listener}.ssl.truststore.location": str(self.authority.file),
            }
        for listener in ("sasl_plaintext", "sasl_ssl"):
            marker = f"listener.name.{listener}"
            properties |= {
                f"{marker}.plain.sasl.jaas.config": f"{_LOGIN}.plain.PlainLoginModule required {users};",
                f"{marker}.scram-sha-256.sasl.jaas.config": f"{_LOGIN}.scram.ScramLoginModule required;",
                f"{marker}.oauthbearer.sasl.jaas.config": f"{_LOGIN}.oauthbearer.OAuthBearerLoginModule required"
                ' unsecuredLoginStringClaim_sub="broker";',
            }
        return properties

    def start(self) -> SecureKafka:
        """Returns when the broker is up; raises ``RungUnavailableError``."""
        self._broker.start()
        return self

    def stop(self) -> None:
        """Ends the broker and removes everything."""
        self._broker.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def unique(self, name: str) -> str:
        """A name that nobody else has."""
        return f"{name}-{self._run}-{next(self._names)}"

    def server_of(self, listener: str) -> str:
        """``host:port``."""
        return self._broker.server_of(listener) if listener != "PLAINTEXT" else self._broker.bootstrap_server

    def settings(self, client: ClientName = "kafka-python", listener: str = "PLAINTEXT", **more: Any) -> KafkaSettings:
        """Settings of the listener: TLS trusts our authority, a login is to be named with ``login``."""
        protocol = listener if listener in ("PLAINTEXT", "SASL_PLAINTEXT", "SASL_SSL") else "SSL"
        chosen: dict[str, Any] = {
            "bootstrap_servers": (self.server_of(listener),),
            "client": client,
            "security_protocol": protocol,
            "connect_timeout_seconds": 10.0,
        }
        if "SSL" in protocol:
            chosen["ssl_cafile"] = str(self.authority.file)
        return KafkaSettings(**{**chosen, **more})

    def login(
        self, user: str, client: ClientName = "kafka-python", listener: str = "SASL_SSL", mechanism: str = "PLAIN"
    ) -> KafkaSettings:
        """Settings with which one of ``PASSWORDS`` logs in."""
        return self.settings(
            client, listener, sasl_mechanism=mechanism, sasl_username=user, sasl_password=PASSWORDS[user]
        )

    @contextlib.contextmanager
    def withdrawn(self, user: str) -> Iterator[None]:
        """Take a user's SCRAM login away inside."""
        from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented, not in __all__
            AdminClient,
            ScramCredentialInfo,
            ScramMechanism,
            UserScramCredentialDeletion,
            UserScramCredentialUpsertion,
        )

        admin = AdminClient({"bootstrap.servers": self.server_of("PLAINTEXT")})

        def alter(change: Any) -> None:
            admin.alter_user_scram_credentials([change])[user].result(30)

        alter(UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_256))
        try:
            yield
        finally:
            info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
            alter(UserScramCredentialUpsertion(user, info, PASSWORDS[user].encode()))

    @contextlib.contextmanager
    def rights(self, user: str, *rights: tuple[str, str, str]) -> Iterator[None]:
        """Give rights inside: (``topic``, ``group``, ``cluster``; its name; the operation, such as ``read``)."""
        from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented, not in __all__
            AclBinding,
            AclBindingFilter,
            AclOperation,
            AclPermissionType,
            AdminClient,
            ResourcePatternType,
            ResourceType,
        )

        admin = AdminClient({"bootstrap.servers": self.server_of("PLAINTEXT")})
        kinds = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP, "cluster": ResourceType.BROKER}

        def named(kind: Any, right: tuple[str, str, str]) -> Any:
            what, name, operation = right
            return kind(
                kinds[what],
                name,
                ResourcePatternType.LITERAL,
                f"User:{user}",
                "*",
                AclOperation[operation.upper()],
                AclPermissionType.ALLOW,
            )

        bindings = [named(AclBinding, right) for right in rights]
        for future in admin.create_acls(bindings).values() if bindings else ():
            future.result(10)
        try:
            yield
        finally:
            filters = [named(AclBindingFilter, right) for right in rights]
            for future in admin.delete_acls(filters).values() if filters else ():
                future.result(10)


def _main() -> None:
    broker = SecureKafka().start()
    try:
        for listener in ("PLAINTEXT", *_LISTENERS):
            sys.stdout.write(f"{listener:<15}{broker.server_of(listener)}\n")
        sys.stdout.write(f"{'authority':<15}{broker.authority.file}\n")
        sys.stdout.flush()
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    finally:
        broker.stop()


if __name__ == "__main__":
    _main()
