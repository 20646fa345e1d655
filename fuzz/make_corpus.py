#!/usr/bin/env python3
"""Writes the hand-made part of the corpora anew: `python3 fuzz/make_corpus.py`. Same bytes each time.

Inputs that fuzzing found are kept beside these under names of their own and are not touched.
"""

import io
import pathlib
import struct
import zipfile
import zlib

HERE = pathlib.Path(__file__).resolve().parent / "corpus"
CHAT = ("13/01/2024, 09:05 - Messages and calls are end-to-end encrypted.\n"
        "13/01/2024, 09:05 - Ann: hello\n13/01/2024, 09:06 - Bob: two\nlines\n").encode()


def put(target, name, data):
    folder = HERE / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def member(name, data, method=8, *, size=None, packed=None, flags=0, crc=None, extra=b""):
    """One member: local header, data, and its central record, each field free to lie."""
    if packed is None:
        squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = squeeze.compress(data) + squeeze.flush() if method == 8 else data
    size = len(data) if size is None else size
    crc = zlib.crc32(data) if crc is None else crc
    fields = struct.pack("<HHHHHIII", 20, flags, method, 0, 0x5821, crc, len(packed), size)
    local = b"PK\x03\x04" + fields + struct.pack("<HH", len(name), 0) + name + packed

    def central(offset, mode=0o100644):
        return (b"PK\x01\x02\x14\x03" + fields + struct.pack("<HHHHHII", len(name), len(extra), 0, 0, 0,
                mode << 16, offset) + name + extra)
    return local, central


def archive(members, *, count=None, comment=b"", modes=()):
    body, directory = b"", b""
    for place, (local, central) in enumerate(members):
        directory += central(len(body), modes[place] if place < len(modes) else 0o100644)
        body += local
    count = len(members) if count is None else count
    return (body + directory + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory),
            len(body), len(comment)) + comment)


def zips():
    chat = member(b"_chat.txt", CHAT)
    zeros = bytes(8 << 20)
    once = archive([chat])
    put("export_zip", "plain", once)
    put("export_zip", "android-name", archive([member("WhatsApp Chat with Ann.txt".encode(), CHAT)]))
    put("export_zip", "stored", archive([member(b"_chat.txt", CHAT, 0)]))
    put("export_zip", "bomb-chat", archive([member(b"_chat.txt", zeros)]))
    put("export_zip", "bomb-media", archive([chat, member(b"IMG-20240113-WA0001.jpg", zeros)]))
    put("export_zip", "bomb-size-denied", archive([member(b"_chat.txt", zeros, size=10)]))
    put("export_zip", "size-boasted", archive([member(b"_chat.txt", CHAT, size=0xFFFFFFFE)]))
    put("export_zip", "nested", archive([chat, member(b"inner.zip", archive([member(b"deep.zip", once)]))]))
    put("export_zip", "same-name-twice", archive([chat, member(b"_chat.txt", CHAT.replace(b"hello", b"other"))]))
    put("export_zip", "same-name-in-two-cases", archive([chat, member(b"_CHAT.TXT", CHAT)]))
    put("export_zip", "two-chats", archive([member(b"a.txt", CHAT), member(b"b.txt", CHAT)]))
    put("export_zip", "no-chat", archive([member(b"IMG-20240113-WA0001.jpg", b"\xff\xd8\xff")]))
    put("export_zip", "path-upwards", archive([chat, member(b"../../escaped.jpg", b"x")]))
    put("export_zip", "path-absolute", archive([chat, member(b"/escaped.jpg", b"x")]))
    put("export_zip", "path-of-windows", archive([chat, member(b"C:\\escaped\\x.jpg", b"x")]))
    put("export_zip", "link", archive([chat, member(b"link.jpg", b"/etc/passwd", 0)], modes=(0o100644, 0o120777)))
    put("export_zip", "folder-of-another-system", archive([chat, member(b"__MACOSX/._chat.txt", b"\x00\x05")]))
    put("export_zip", "name-not-utf8", archive([chat, member(b"\xff\xfe.jpg", b"x", flags=0x800)]))
    put("export_zip", "name-with-nul", archive([chat, member(b"a.jpg\x00.txt", b"x")]))
    put("export_zip", "name-empty", archive([chat, member(b"", b"x")]))
    put("export_zip", "encrypted-flag", archive([member(b"_chat.txt", CHAT, flags=1)]))
    put("export_zip", "unknown-method", archive([member(b"_chat.txt", CHAT, 99, packed=CHAT)]))
    put("export_zip", "deflate-broken", archive([member(b"_chat.txt", CHAT, packed=b"\xff" * 40)]))
    put("export_zip", "crc-wrong", archive([member(b"_chat.txt", CHAT, crc=1)]))
    put("export_zip", "overlapping", overlapping(chat))
    put("export_zip", "more-promised-than-there", archive([chat], count=60000))
    put("export_zip", "comment", archive([chat], comment=b"PK\x05\x06" * 40))
    put("export_zip", "cut-in-directory", once[:-30])
    put("export_zip", "cut-in-data", once[:40])
    put("export_zip", "end-record-alone", b"PK\x05\x06" + bytes(18))
    put("export_zip", "zip64-silly", b"PK\x06\x06" + b"\xff" * 52 + b"PK\x06\x07" + bytes(16)
        + b"PK\x05\x06" + b"\xff" * 16 + bytes(2))
    put("export_zip", "many-empty", archive([chat] + [member(b"%04d.jpg" % n, b"") for n in range(300)]))
    put("export_zip", "empty", b"")
    put("export_zip", "not-a-zip", CHAT)
    with io.BytesIO() as out:
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr(zipfile.ZipInfo("_chat.txt", (2024, 1, 13, 9, 5, 0)), CHAT)
        put("export_zip", "by-another-writer", out.getvalue())


def overlapping(chat):
    """Two directory records, one data: what overlapping bombs are built of."""
    local, central = chat
    directory = central(0) + central(0).replace(b"_chat.txt", b"_clap.txt")
    return local + directory + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 2, 2, len(directory), len(local), 0)


def texts():
    text = {
        "android": CHAT,
        "android-us": b"1/13/24, 9:05 AM - Ann: hello\n1/13/24, 9:06\xe2\x80\xafPM - Bob: hi\n",
        "ios": "\u200e[13/01/2024, 09:05:11] Ann: \u200eimage omitted\r\n[13/01/2024, 09:06:00] Bob: ok\r\n".encode(),
        "ios-german": "[13.01.24, 09:05:11] Ann: hallo\n[13.01.24, 09:06:00] Bob: \u200eBild weggelassen\n".encode(),
        "chinese": "2024/1/13 上午9:05 - 陈伟: 你好\n2024/1/13 下午9:06 - Ann: 好\n".encode(),
        "arabic": "\u200f١٣/٠١/٢٠٢٤، ٩:٠٥ ص - Ann: مرحبا\n".encode(),
        "ambiguous-dates": b"01/02/2024, 09:05 - Ann: a\n02/03/2024, 09:05 - Ann: b\n",
        "no-such-day": b"31/02/2024, 25:61 - Ann: a\n99/99/9999, 99:99 - Ann: b\n",
        "year-zero": b"01/01/0000, 00:00 - Ann: a\n",
        "clock-back": b"28/10/2024, 02:59 - Ann: a\n28/10/2024, 02:01 - Ann: b\n27/10/2020, 00:00 - Ann: c\n",
        "digits-without-end": b"1" * 400 + b"/01/2024, 09:05 - Ann: a\n",
        "forged-header-in-a-message": CHAT + b"14/01/2024, 09:05 - Bob: I quote\n14/01/2024, 09:05 - Ann: forged\n",
        "sender-without-text": b"13/01/2024, 09:05 - Ann:\n13/01/2024, 09:05 - Ann: \n13/01/2024, 09:05 - : x\n",
        "sender-with-colon": b"13/01/2024, 09:05 - Ann: Sales: hello\n",
        "header-only": b"13/01/2024, 09:05 - ",
        "header-cut": b"13/01/2024, 09:0",
        "no-line-end": CHAT.rstrip(b"\n"),
        "carriage-returns": CHAT.replace(b"\n", b"\r"),
        "mixed-line-ends": CHAT.replace(b"\n", b"\r\n", 2),
        "blank-lines": b"\n\n\n" + CHAT + b"\n\n",
        "not-utf8-in-a-message": b"13/01/2024, 09:05 - Ann: \xff\xfe\x80 caf\xe9\n",
        "not-utf8-in-a-name": b"13/01/2024, 09:05 - A\xffn: hello\n",
        "utf8-cut": "13/01/2024, 09:05 - Ann: 你".encode()[:-1],
        "surrogate": b"13/01/2024, 09:05 - Ann: \xed\xa0\x80\n",
        "overlong": b"13/01/2024, 09:05 - Ann: \xc0\xaf\n",
        "bom": b"\xef\xbb\xbf" + CHAT,
        "bom-twice": b"\xef\xbb\xbf\xef\xbb\xbf" + CHAT,
        "utf16": CHAT.decode().encode("utf-16"),
        "utf16-be": b"\xfe\xff" + CHAT.decode().encode("utf-16-be"),
        "utf16-cut": CHAT.decode().encode("utf-16")[:-1],
        "utf16-lone-surrogate": b"\xff\xfe" + "13/01/2024, 09:05 - Ann: ".encode("utf-16-le") + b"\x00\xd8\n\x00",
        "nul": b"13/01/2024, 09:05 - Ann: a\x00b\n\x00\x00\x00",
        "direction-marks": "13/01/2024, 09:05 - \u202eAnn\u202c: \u2066x\u2069\u200b\n".encode(),
        "line-separators": "13/01/2024, 09:05 - Ann: a\u2028b\u2029c\u0085d\u000be\n".encode(),
        "combining": ("13/01/2024, 09:05 - Ann: a" + "\u0301" * 300 + "\n").encode(),
        "spaces-of-other-kinds": "13/01/2024,\u00a09:05\u202fPM\u2009- Ann: x\n".encode(),
        "only-system-lines": b"13/01/2024, 09:05 - Ann created group \"x\"\n13/01/2024, 09:06 - Ann left\n",
        "attached": b"13/01/2024, 09:05 - Ann: IMG-20240113-WA0001.jpg (file attached)\ncaption\n",
        "attached-upwards": b"13/01/2024, 09:05 - Ann: ../../../etc/passwd (file attached)\n",
        "poll": "[13/01/2024, 09:05:11] Ann: POLL:\nlunch?\nOPTION: a (2 votes)\nOPTION: b\n".encode(),
        "empty": b"",
        "one-line-end": b"\n",
        "prose": b"Dear Sir or Madam,\n\nthis is a letter: it has colons - and dashes.\n",
        "json": b"{\"object\":\"whatsapp_business_account\"}",
        "zip-magic": b"PK\x03\x04 and nothing more",
    }
    for name, data in text.items():
        put("export_txt", name, data)


def body(value, field="messages"):
    return (b'{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"' + field.encode()
            + b'","value":' + value + b"}]}]}")


def message(fields):
    return body(b'{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550001111",'
                b'"phone_number_id":"2"},"contacts":[{"profile":{"name":"Ann"},"wa_id":"4477"}],"messages":[{'
                b'"from":"4477","id":"wamid.A","timestamp":"1700000000",' + fields + b"}]}")


def bodies():
    text = {
        "text": message(b'"type":"text","text":{"body":"hello"}'),
        "image": message(b'"type":"image","image":{"id":"9","mime_type":"image/jpeg","sha256":"AA==","caption":"x"}'),
        "reaction-removed": message(b'"type":"reaction","reaction":{"message_id":"wamid.B"}'),
        "revoke": message(b'"type":"revoke","revoke":{"original_message_id":"wamid.B"}'),
        "edit": message(b'"type":"edit","edit":{"original_message_id":"wamid.B","message":{"type":"text",'
                        b'"text":{"body":"y"}}}'),
        "edit-in-edit": message(b'"type":"edit","edit":{"message":' + b'{"type":"edit","edit":{"message":' * 60
                                + b"1" + b"}}" * 60 + b"}"),
        "unknown-type": message(b'"type":"telepathy","telepathy":{"volume":11}'),
        "type-without-body": message(b'"type":"text"'),
        "types-all-wrong": message(b'"type":7,"text":"x","context":[],"errors":{}'),
        "time-as-number": message(b'"type":"text","text":{"body":"x"}').replace(b'"1700000000"', b"1700000000"),
        "time-out-of-range": message(b'"type":"text","text":{"body":"x"}').replace(b"1700000000", b"9" * 30),
        "time-negative": message(b'"type":"text","text":{"body":"x"}').replace(b"1700000000", b"-99999999999"),
        "status": body(b'{"statuses":[{"id":"wamid.A","status":"read","timestamp":"1700000000",'
                       b'"recipient_id":"4477"}]}'),
        "history": body(b'{"history":[{"metadata":{"phase":0,"chunk_order":1,"progress":55},"threads":[{"id":"4477",'
                        b'"messages":[{"from":"4477","id":"wamid.H","timestamp":"1","type":"text",'
                        b'"text":{"body":"old"}}]}]}]}', "history"),
        "history-threads-not-a-list": body(b'{"history":[{"threads":{"id":1}}]}', "history"),
        "account-event": body(b'{"event":"ACCOUNT_UPDATE"}', "account_update"),
        "unknown-field": body(b'{"x":1}', "not_yet_invented"),
        "value-null": body(b"null"),
        "value-a-text": body(b'"x"'),
        "nothing-in-it": b'{"object":"whatsapp_business_account","entry":[]}',
        "another-object": b'{"object":"page","entry":[{"messaging":[]}]}',
        "object-missing": b'{"entry":[]}',
        "key-twice": b'{"object":"page","object":"whatsapp_business_account","entry":[],"entry":7}',
        "message-twice": body(b'{"messages":[{"id":"wamid.A","type":"text","text":{"body":"x"}},'
                              b'{"id":"wamid.A","type":"text","text":{"body":"y"}}]}'),
        "escapes": message(b'"type":"text","text":{"body":"\\u0041\\/\\ud83d\\ude00\\u0000\\n"}'),
        "lone-surrogate": message(b'"type":"text","text":{"body":"\\ud83d"}'),
        "not-utf8": message(b'"type":"text","text":{"body":"\xff\xfe"}'),
        "bom": b"\xef\xbb\xbf" + message(b'"type":"text","text":{"body":"x"}'),
        "spaces": b" \n\t" + message(b'"type":"text","text":{"body":"x"}') + b" \n\n",
        "rubbish-after": message(b'"type":"text","text":{"body":"x"}') + b"}}}}",
        "two-bodies": message(b'"type":"text","text":{"body":"x"}') * 2,
        "two-lines": message(b'"type":"text","text":{"body":"x"}') + b"\n" + message(b'"type":"unsupported"') + b"\n",
        "number-huge": message(b'"type":"location","location":{"latitude":1e999,"longitude":-1e-999}'),
        "number-long": b'{"object":' + b"9" * 5000 + b"}",
        "deep-lists": b"[" * 20000,
        "deep-objects": b'{"a":' * 20000,
        "deep-in-a-value": body(b'{"messages":' + b"[" * 20000 + b"]" * 20000 + b"}"),
        "nfm-reply-text-in-text": message(b'"type":"interactive","interactive":{"type":"nfm_reply","nfm_reply":'
                                          b'{"name":"flow","response_json":"{\\"a\\":[[[[\\"}"}}'),
        "cut": message(b'"type":"text","text":{"body":"hello"}')[:-25],
        "cut-in-escape": b'{"object":"\\u00',
        "empty": b"",
        "null": b"null",
        "list-empty": b"[]",
    }
    for name, data in text.items():
        put("cloud_body", name, data)


def archived(rest, head=b'"msgid":"1","action":"send","from":"ann","tolist":["bob"],"msgtime":1760000000000'):
    return b"{" + head + b"," + rest + b"}"


def archives():
    inner = b'{\\"content\\":\\"x\\"}'
    text = archived(b'"msgtype":"text","text":{"content":"hello"}')
    nested = b'"{\\"title\\":\\"t\\",\\"item\\":[{\\"type\\":\\"ChatRecordText\\",\\"content\\":\\"{\\\\\\"content\\\\\\":1}\\"}]}"'
    cases = {
        "text": text,
        "image": archived(b'"msgtype":"image","image":{"md5sum":"","filesize":1,"sdkfileid":"f"}'),
        "recall": archived(b'"msgtype":"revoke","revoke":{"pre_msgid":"0"}'),
        "agree": archived(b'"msgtype":"agree","agree":{"userid":"wmX","agree_time":1760000000000}'),
        "switch": b'{"msgid":"1","action":"switch","time":1760000000000,"user":"ann"}',
        "mixed": archived(b'"msgtype":"mixed","mixed":{"item":[{"type":"text","content":"' + inner + b'"}]}'),
        "chatrecord": archived(b'"msgtype":"chatrecord","chatrecord":{"title":"t","item":[{"type":"ChatRecordText",'
                               b'"msgtime":1760000000,"content":"' + inner + b'"}]}'),
        "chatrecord-in-chatrecord": archived(b'"msgtype":"chatrecord","chatrecord":{"item":[{"type":"chatrecord","content":'
                                             + nested + b"}]}"),
        "content-cut": archived(b'"msgtype":"mixed","mixed":{"item":[{"type":"text","content":"{\\"a"}]}'),
        "content-not-text": archived(b'"msgtype":"mixed","mixed":{"item":[{"type":"text","content":[5]}]}'),
        "quote": archived('"msgtype":"text","text":{"content":"这是一条引用/回复消息：\\n“A:\\nb”\\n------\\nc"}'.encode()),
        "vote-beside": archived(b'"msgtype":"vote","votetitle":"a","voteitem":["b"],"voteid":11101571002822706744'),
        "other-name": archived(b'"msgtype":"docmsg","doc":{"title":"a"}'),
        "unknown-type": archived(b'"msgtype":"new","new":{"a":[{}]}'),
        "no-type": archived(b'"image":{}'),
        "types-all-wrong": b'{"msgid":[],"action":{},"from":1,"tolist":"a,b","roomid":2,"msgtime":"x","msgtype":3}',
        "body-a-list": archived(b'"msgtype":"text","text":[[]]'),
        "item-an-object": archived(b'"msgtype":"chatrecord","chatrecord":{"item":{}}'),
        "key-twice": archived(b'"msgtype":"text","text":{},"text":{"content":"a","content":"b"}'),
        "lone-surrogate": archived(b'"msgtype":"text","text":{"content":"\\ud83d"}'),
        "number-huge": archived(b'"msgtype":"meeting","meeting":{"meetingid":' + b"9" * 400 + b',"x":1e999}'),
        "deep": archived(b'"msgtype":"new","new":' + b"[" * 100 + b"]" * 100),
        "encrypted": b'{"errcode":0,"chatdata":[{"seq":1,"msgid":"m","publickey_ver":1,"encrypt_random_key":"a",'
                     b'"encrypt_chat_msg":"b"}]}',
        "answer-error": b'{"errcode":10009,"errmsg":"no"}',
        "answer-list-missing": b'{"errcode":0,"chatdata":5}',
        "two-lines": text + b"\n" + text + b"\n",
        "two-in-a-list": b"[" + text + b",\n " + text + b"]",
        "broken-then-good": text[:-9] + b"\n" + text,
        "comma-too-many": b"[" + text + b",," + text + b",]",
        "list-never-ends": b"[" + text + b",",
        "cut-in-escape": b'{"msgid":"\\u00',
        "bom": b"\xef\xbb\xbf" + text,
        "not-utf8": archived(b'"msgtype":"text","text":{"content":"\xff\xfe"}'),
        "empty": b"",
        "null": b"null",
    }
    for name, data in cases.items():
        put("wecom_archive", name, data)


def signatures():
    right_length = b"sha256=" + b"0" * 64
    for name, header in {
        "well-formed": right_length, "upper-case": right_length.upper(), "empty": b"", "prefix-alone": b"sha256=",
        "short": right_length[:-1], "long": right_length + b"0", "odd-digit": right_length[:-1] + b"g",
        "older-kind": b"sha1=" + b"0" * 40, "spaces": b" " + right_length + b" ", "not-ascii": b"sha256=\xff\xfe",
        "two-in-one": right_length + b"," + right_length,
        "handshake": b"hub.mode=subscribe&hub.verify_token=x&hub.challenge=1",
        "handshake-token-empty": b"hub.mode=subscribe&hub.verify_token=&hub.challenge=1",
        "handshake-names-twice": b"hub.mode=subscribe&hub.verify_token=a&hub.verify_token=b&hub.challenge=1",
        "handshake-percent-cut": b"hub.mode=subscribe&hub.verify_token=%4&hub.challenge=%",
        "handshake-no-challenge": b"hub.mode=subscribe&hub.verify_token=x",
    }.items():
        put("cloud_signature", name, header + b"\n" + message(b'"type":"text","text":{"body":"x"}'))


def generic_signatures():
    right, body = b"v1=" + b"0" * 64, b'{"sender":"Ann","text":"x"}'
    for name, (stamp, signature) in {
        "well-formed": (b"1764000000", right), "upper-case": (b"1764000000", right.upper()), "empty": (b"", b""),
        "no-time": (b"", right), "no-signature": (b"1764000000", b""), "prefix-alone": (b"1764000000", b"v1="),
        "no-prefix": (b"1764000000", right[3:]), "other-version": (b"1764000000", b"v2=" + right[3:]),
        "short": (b"1764000000", right[:-1]), "long": (b"1764000000", right + b"0"),
        "odd-digit": (b"1764000000", right[:-1] + b"g"), "two-in-one": (b"1764000000", right + b"," + right),
        "not-ascii": (b"1764000000", b"v1=\xff\xfe"), "time-negative": (b"-1", right), "time-with-plus": (b"+1", right),
        "time-beyond-64-bits": (b"9" * 30, right), "time-largest": (b"9223372036854775807", right),
        "time-of-blanks": (b"   ", right), "time-not-ascii": ("١".encode(), right), "time-a-fraction": (b"1.5", right),
    }.items():
        put("generic_signature", name, stamp + b"\n" + signature + b"\n" + body)


if __name__ == "__main__":
    zips()
    texts()
    bodies()
    archives()
    signatures()
    generic_signatures()
