#!/usr/bin/env python3
"""Writes the seeds that are not plain text: frames, Ogg pages, messages. The others are kept as they are."""
import base64
import pathlib
import struct

seeds = pathlib.Path(__file__).parent / "seeds"


def put(target, name, data):
    (seeds / target).mkdir(parents=True, exist_ok=True)
    (seeds / target / name).write_bytes(data)


# WebSocket: a choice byte, then masked frames.
def frame(first, payload, mask=b"\x12\x34\x56\x78", form=0):
    size = len(payload)
    head = bytes([first, 0x80 | size]) if form == 0 else bytes([first, 0xFE]) + struct.pack(">H", size) if form == 2 else bytes([first, 0xFF]) + struct.pack(">Q", size)
    return head + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(payload))


put("websocket", "text", b"1" + frame(0x81, "晚上好".encode()))
put("websocket", "fragments", b"0" + frame(0x01, "晚".encode()[:2]) + frame(0x89, b"ping") + frame(0x80, "晚".encode()[2:]))
put("websocket", "binary_16bit", b"1" + frame(0x82, b"x" * 130, form=2))
put("websocket", "binary_64bit", b"1" + frame(0x82, b"x" * 130, form=8))
put("websocket", "too_big", b"0" + frame(0x02, b"y" * 60) + frame(0x80, b"y" * 60))
put("websocket", "close", b"1" + frame(0x8A, b"") + frame(0x88, struct.pack(">H", 1000) + b"bye"))
put("websocket", "empty_pieces", b"1" + frame(0x01, b"") + frame(0x00, b"") + frame(0x80, b"") + frame(0x88, b""))


# Ogg: the target sets the checksums itself.
def page(kind, granule, number, packets, last_open=False):
    lacing = b""
    for i, p in enumerate(packets):
        lacing += b"\xff" * (len(p) // 255)
        if not (last_open and i == len(packets) - 1):
            lacing += bytes([len(p) % 255])
    return b"OggS\0" + bytes([kind]) + struct.pack("<qIII", granule, 9, number, 0) + bytes([len(lacing)]) + lacing + b"".join(packets)


head = b"OpusHead\x01\x02" + struct.pack("<HIhB", 312, 48000, 0, 0)
tags = b"OpusTags" + struct.pack("<I", 7) + b"ovation" + struct.pack("<I", 0)
opening = page(2, 0, 0, [head]) + page(0, 0, 1, [tags])
put("ogg", "two_packets", opening + page(4, 1920, 2, [b"\xf8\xff\xfe", b"\xf8" + b"a" * 30]))
put("ogg", "packet_over_two_pages", opening + page(0, -1, 2, [b"\xf8" + b"b" * 254], last_open=True) + page(1 | 4, 960, 3, [b"c" * 10]))
put("ogg", "empty_packets", opening + page(4, 2880, 2, [b"", b"", b""]))
put("ogg", "not_opus", page(2, 0, 0, [b"\x01vorbis" + b"\0" * 23]))
put("ogg", "headers_only", opening)


# Messages: "0" client, "1" server, both binary; "2" and "3" are their JSON.
def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n & (1 << 64) - 1)


def part(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


media = number(1, 5) + number(3, 96000) + number(4, 2 * 48000) + part(5, b"\xf8\xff\xfe") + part(5, b"\xf8abc") + number(7, 1) + part(8, b"\xf8") + number(9, 250) + number(10, 1)
put("media_message", "client_media", b"0" + part(10, media))
put("media_message", "client_enter", b"0" + number(1, 1) + part(2, number(1, 3) + part(2, b"token") + part(3, part(1, b"epoch") + number(2, 9) + number(3, -1)) + number(4, 200)))
put("media_message", "client_chat", b"0" + number(1, 2) + part(4, part(1, "晚上好".encode())))
put("media_message", "client_control", b"0" + part(9, number(1, 3) + number(2, 7)))
put("media_message", "server_media", b"1" + number(2, 77) + part(16, media + number(2, 41) + number(6, 8)))
put("media_message", "server_refused", b"1" + number(1, 4) + part(6, part(1, b"aborted") + part(2, b"no") + part(3, part(1, b"busy") + number(2, 1) + number(3, 500))))
put("media_message", "server_moderation", b"1" + part(11, number(1, 99) + number(2, 1) + part(3, b"n")))
voice = base64.b64encode(b"\xf8\xff\xfe").decode()
put("media_message", "client_media_json", ('2{"media":{"performanceId":"5","mediaTime":"96000","songPosition":"-480","voice":["%s",""],"flags":3}}' % voice).encode())
put("media_message", "client_enter_json", b'2{"request_id":1,"enter":{"room_id":"3","resume":{"epoch":"e","offset":"9"},"unknown":[{}]}}')
put("media_message", "client_control_json", b'2{"controlSong":{"action":"ACTION_SEEK","songPosition":"18446744073709551615"}}')
put("media_message", "server_welcome_json", '3{"offset":"7","welcome":{"epoch":"e","chat":[{"id":"1","name":"守灯塔的人","text":"\\u0000\\ud83c\\udfa4"}],"roles":["ROLE_SINGER",7],"staff":true}}'.encode())

# Bytes that are no text, for the validator.
put("text", "edges", b"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")
put("text", "surrogate", b"a\xed\xa0\x80")
put("text", "overlong", b"\xe0\x80\xaf")
put("text", "cut", "晚".encode()[:2])
put("text", "controls", "a\u200e\u200f\u202a\u202e\u2066\u2069\x7f\x1f".encode())
put("text", "blanks", b" \t\r\n a b \n")

# Requests: a choice byte (odd: large bodies), then what comes.
crlf = "\r\n"
put("http", "get", f"aGET /rooms/1?a=b%20c&d=+ HTTP/1.1{crlf}Host: example.org{crlf}Connection: Upgrade, keep-alive{crlf}{crlf}".encode())
put("http", "two", f"aPOST /ovation.v1.GiftService/SendGift HTTP/1.1{crlf}host:h{crlf}Content-Length: 2{crlf}{crlf}{{}}GET / HTTP/1.0{crlf}{crlf}".encode())
put("http", "chunked", f"aPOST / HTTP/1.1{crlf}Host: h{crlf}Transfer-Encoding: chunked{crlf}{crlf}3;x=y{crlf}abc{crlf}0{crlf}T: r{crlf}{crlf}GET / HTTP/1.1{crlf}Host: h{crlf}{crlf}".encode())
put("http", "both_lengths", f"aPOST / HTTP/1.1{crlf}Host: h{crlf}Content-Length: 3{crlf}Transfer-Encoding: chunked{crlf}{crlf}0{crlf}{crlf}".encode())
put("http", "two_lengths", f"aPOST / HTTP/1.1{crlf}Host: h{crlf}Content-Length: 3{crlf}Content-Length: 3{crlf}{crlf}abc".encode())
put("http", "expect", f"`POST / HTTP/1.1{crlf}Host: h{crlf}Expect: 100-continue{crlf}Content-Length: 4{crlf}{crlf}abcd".encode())
put("http", "folded", f"aGET / HTTP/1.1{crlf}Host: h{crlf}A: b{crlf} c{crlf}A: d{crlf}{crlf}".encode())
put("http", "body_too_big", f"`POST / HTTP/1.1{crlf}Host: h{crlf}Content-Length: 65{crlf}{crlf}".encode() + b"z" * 65)
put("http", "empty_chunked", f"aPOST / HTTP/1.1{crlf}Host: h{crlf}Transfer-Encoding: chunked{crlf}{crlf}0{crlf}{crlf}".encode())
put("http", "unknown_coding", f"aPOST / HTTP/1.1{crlf}Host: h{crlf}Transfer-Encoding: gzip{crlf}Content-Length: 3{crlf}{crlf}abcGET".encode())
put("http", "coding_in_1_0", f"aPOST / HTTP/1.0{crlf}Transfer-Encoding: chunked{crlf}{crlf}0{crlf}{crlf}".encode())
