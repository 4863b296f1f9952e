"""A mail relay on a free port: SMTP with STARTTLS and login. It stores accepted mails, and rejects commands as a test
demands."""

from __future__ import annotations

import base64
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

LOGIN = ("relay-user", "p@ss:w0rd/")


@dataclass
class Relay:
    """``answers``: replies to the next commands of that name instead of the default; an empty one closes the
    connection. ``letters``: envelope and content of accepted mails."""

    tls: bool = True
    login: bool = False
    answers: dict[str, list[str]] = field(default_factory=dict)
    letters: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    secured: list[bool] = field(default_factory=list)
    port: int = 0
    certificate: Path = Path()

    def mails(self) -> list[EmailMessage]:
        """Accepted mails, parsed."""
        found = [message_from_bytes(content, policy=default) for _, _, content in self.letters]
        return [m for m in found if isinstance(m, EmailMessage)]


class _Session(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:  # noqa: C901 - a branch for each verb
        relay, secure = self.server.relay, self.server.implicit
        if secure:
            self._secure()
        sender, recipients, known = "", list[str](), not relay.login
        self._say("220 relay.test ready")
        while line := self.rfile.readline():
            text = line.decode().rstrip("\r\n")
            assert line.endswith(b"\r\n"), "a bare line feed is no line of SMTP"
            verb = text.split(" ")[0].upper()
            relay.commands.append(verb)
            reported = relay.answers.get(verb)
            if reported:
                answer = reported.pop(0)
                if not answer:
                    return
                self._say(answer)
            elif verb == "EHLO":
                offers = ["STARTTLS"] if relay.tls and not secure else []
                offers += ["AUTH PLAIN"] if relay.login and secure else []
                self._say("\r\n".join(f"250-{o}" for o in ["relay.test", *offers]) + "\r\n250 8BITMIME")
            elif verb == "STARTTLS":
                self._say("220 go")
                self._secure()
                secure = True
            elif verb == "AUTH":
                _, user, password = base64.b64decode(text.split(" ")[2]).decode().split("\0")
                known = (user, password) == LOGIN and secure
                self._say("235 welcome" if known else "535 5.7.8 no")
            elif not known and verb in ("MAIL", "RCPT", "DATA"):
                self._say("530 5.7.0 log in first")
            elif verb == "MAIL":
                sender, recipients = text.partition("<")[2].partition(">")[0], []
                self._say("250 ok")
            elif verb == "RCPT":
                recipients.append(text.partition("<")[2].partition(">")[0])
                self._say("250 ok")
            elif verb == "DATA":
                self._say("354 end with a dot")
                content = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    content += part.removeprefix(b".")
                late = relay.answers.get("END")
                if late:
                    self._say(late.pop(0))
                else:
                    relay.letters.append((sender, list(recipients), content))
                    relay.secured.append(secure)
                    self._say("250 accepted")
            elif verb in ("QUIT", "RSET"):
                self._say("221 bye" if verb == "QUIT" else "250 ok")
            else:
                self._say("500 what")

    def finish(self) -> None:
        """With TLS, the connection is another socket than the one that the server closes."""
        super().finish()
        self.connection.close()

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def _secure(self) -> None:
        self.connection = self.server.context.wrap_socket(self.request, server_side=True)
        self.request = self.connection
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)  # type: ignore[assignment]


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    relay: Relay
    context: ssl.SSLContext
    implicit: bool

    def handle_error(self, *_: object) -> None:
        """Quiet: tests include clients that disconnect."""


@contextmanager
def relaying(directory: Path, *, implicit: bool = False, **options: bool) -> Iterator[Relay]:
    """A running relay; ``implicit``: TLS from the first byte."""
    files = ("-keyout", str(directory / "relay.key"), "-out", str(directory / "relay.crt"))
    subject = ("-subj", "/CN=relay", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run([*command, *files, *subject], check=True, capture_output=True)
    relay = Relay(**options, certificate=directory / "relay.crt")
    with _Server(("127.0.0.1", 0), _Session) as server:
        server.relay, server.implicit = relay, implicit
        server.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.context.load_cert_chain(directory / "relay.crt", directory / "relay.key")
        relay.port = int(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield relay
        finally:
            server.shutdown()
            thread.join()
