"""Delivers messages, a line of the standard input each, encrypted by wechatpy: `wechat_deliver.py URL TOKEN KEY CORP`."""

import json
import sys
import urllib.parse
import urllib.request

import xmltodict
from wechatpy.enterprise.crypto import WeChatCrypto

URL, TOKEN, KEY, CORP = sys.argv[1:]
crypto = WeChatCrypto(TOKEN, KEY, CORP)
for number, message in enumerate(sys.stdin):
    made = xmltodict.parse(crypto.encrypt_message(message.strip(), f"n{number}", "1732406400"))["xml"]
    query = {"msg_signature": made["MsgSignature"], "timestamp": made["TimeStamp"], "nonce": made["Nonce"]}
    body = f"<xml><ToUserName>{CORP}</ToUserName><Encrypt>{made['Encrypt']}</Encrypt></xml>".encode()
    request = urllib.request.Request(URL + "?" + urllib.parse.urlencode(query), data=body)
    with urllib.request.urlopen(request, timeout=30) as answer:
        print(json.dumps({"status": answer.status, "said": answer.read().decode()}), flush=True)
