"""A mail server made with aiosmtpd that asks for a sign-in: `alarm_mail.py USER PASSWORD`.

Listens on loopback, prints its port, then one JSON object for each mail: who it is for, and subject and text as Python's own
library reads them.
"""

import email
import email.policy
import json
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

USER, PASSWORD = (argument.encode() for argument in sys.argv[1:])


class Mailbox:
    async def handle_DATA(self, _server, _session, envelope):
        mail = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        text = mail.get_body().get_content()
        taken = {"to": envelope.rcpt_tos, "from": envelope.mail_from, "subject": mail["subject"], "text": text}
        print(json.dumps(taken), flush=True)
        return "250 kept"


def sign_in(_server, _session, _envelope, _mechanism, given):
    # Not handled: the server itself is to answer.
    return AuthResult(success=(given.login, given.password) == (USER, PASSWORD), handled=False)


class Found(Controller):
    """On a port that the system gives."""

    def _trigger_server(self):
        # The port is known once the socket is bound.
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


controller = Found(
    Mailbox(),
    hostname="127.0.0.1",
    port=0,
    authenticator=sign_in,
    auth_required=True,
    auth_require_tls=False,
)
controller.start()
print(controller.port, flush=True)
controller._thread.join()
