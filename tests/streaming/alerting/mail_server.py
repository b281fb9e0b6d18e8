"""A mail server on this machine that takes what it is sent, or refuses the login (tests only)."""

import base64
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

ANSWERS = {"MAIL": "250 ok", "RCPT": "250 ok", "RSET": "250 ok", "NOOP": "250 ok"}


@dataclass
class MailServer:
    """What arrived: recipients, messages and logins."""

    port: int = 0
    accepts_login: bool = True
    recipients: list[str] = field(default_factory=list)
    messages: list[EmailMessage] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)

    def answer(self, line: str) -> str:
        """Return the answer to a command other than DATA and QUIT."""
        command, _, rest = line.partition(" ")
        match command.upper():
            case "EHLO" | "HELO":
                return "250-localhost\r\n250 AUTH PLAIN"
            case "AUTH":
                self.logins.append(base64.b64decode(rest.split()[-1]).decode())
                return (
                    "235 ok"
                    if self.accepts_login
                    else f"535 no such login {self.logins[-1][1:]}".replace("\0", ":")
                )
            case "RCPT":
                self.recipients.append(rest.partition("<")[2].rstrip(">"))
        return ANSWERS.get(command.upper(), "502 what")


@contextmanager
def mail_server() -> Iterator[MailServer]:
    made = MailServer()

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 localhost")
            while line := self.rfile.readline().decode().strip():
                if line.upper() == "DATA":
                    self._say("354 go on")
                    made.messages.append(self._message())
                    self._say("250 ok")
                elif line.upper() == "QUIT":
                    self._say("221 bye")
                    return
                else:
                    self._say(made.answer(line))

        def _say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

        def _message(self) -> EmailMessage:
            lines = iter(self.rfile.readline, b".\r\n")
            found = message_from_bytes(b"".join(lines), policy=policy.default)
            assert isinstance(found, EmailMessage)
            return found

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        made.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
