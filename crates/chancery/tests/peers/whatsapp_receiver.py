"""A company's own service, made with pywa: `whatsapp_receiver.py APP_SECRET PHONE_ID`.

Listens on loopback, prints its port, then one JSON object for each delivery: whether pywa finds the signature right, and
what its handler was given.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from pywa import WhatsApp, utils

SECRET, PHONE_ID = sys.argv[1:]
client = WhatsApp(phone_id=PHONE_ID, token="not used", app_secret=SECRET, verify_token="not used", server=None)
handled = []


@client.on_message
def on_message(_client, message):
    handled.append({"id": message.id, "text": message.text})


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        wrong = client.webhook_update_validator(body, self.headers[utils.HUB_SIG])
        if wrong is None:
            client.webhook_update_handler(body)
        print(json.dumps({"genuine": wrong is None, "handled": handled[-1:]}), flush=True)
        self.send_response(200 if wrong is None else wrong[1])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_address[1], flush=True)
server.serve_forever()
