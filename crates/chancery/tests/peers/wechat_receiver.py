"""A company's own service, made with wechatpy: `wechat_receiver.py TOKEN KEY CORP`.

Listens on loopback, prints its port, then one JSON object for each delivery: what the library opened and understood.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

from wechatpy.enterprise import parse_message
from wechatpy.enterprise.crypto import WeChatCrypto

crypto = WeChatCrypto(*sys.argv[1:])


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        opened = crypto.decrypt_message(body, query["msg_signature"], query["timestamp"], query["nonce"])
        message = parse_message(opened)
        print(json.dumps({"id": message.id, "from": message.source, "text": message.content}), flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_address[1], flush=True)
server.serve_forever()
