"""The platform's side of callbacks, made by wechatpy: `wechat.py URL TOKEN KEY RECEIVER work|official`.

Delivers what it encrypts, and prints what was answered, one JSON object a line.
"""

import json
import sys
import urllib.error
import urllib.parse
import urllib.request

import xmltodict

URL, TOKEN, KEY, RECEIVER, SIDE = sys.argv[1:]
TIME = "1732406400"

if SIDE == "work":
    from wechatpy.enterprise.crypto import WeChatCrypto
else:
    from wechatpy.crypto import WeChatCrypto

crypto = WeChatCrypto(TOKEN, KEY, RECEIVER)


def encrypted(message, nonce):
    """What the platform sends: body and query. The library makes it as it makes a reply."""
    made = xmltodict.parse(crypto.encrypt_message(message, nonce, TIME))["xml"]
    query = {"msg_signature": made["MsgSignature"], "timestamp": made["TimeStamp"], "nonce": made["Nonce"]}
    return made["Encrypt"], query


def ask(name, query, body=None):
    request = urllib.request.Request(URL + "?" + urllib.parse.urlencode(query), data=body)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status, said = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, said = error.code, error.read()
    print(json.dumps({"asked": name, "status": status, "said": said.decode()}), flush=True)


def message(number, text):
    to = RECEIVER if SIDE == "work" else "gh_5b1c9e7f2a40"
    agent = "<AgentID>7</AgentID>" if SIDE == "work" else ""
    return (
        f"<xml><ToUserName><![CDATA[{to}]]></ToUserName><FromUserName><![CDATA[lin.mei]]></FromUserName>"
        f"<CreateTime>{TIME}</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{text}]]></Content>"
        f"<MsgId>{number}</MsgId>{agent}</xml>"
    )


def body(sealed):
    to = RECEIVER if SIDE == "work" else "gh_5b1c9e7f2a40"
    return f"<xml><ToUserName><![CDATA[{to}]]></ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>".encode()


sealed, query = encrypted("3141592653589793238", "echo")
ask("handshake", {**query, "echostr": sealed})
# Many lengths, so that every padding is met.
for number in range(40):
    sealed, query = encrypted(message(number, "word" * 3 + "x" * number), f"n{number}")
    ask("message", query, body(sealed))
ask("again", query, body(sealed))
ask("altered", query, body("A" + sealed[1:] if sealed[0] != "A" else "B" + sealed[1:]))
ask("unsigned", {"timestamp": TIME, "nonce": "n"}, body(sealed))
ask("signed by another", {**query, "msg_signature": "0" * 40}, body(sealed))
