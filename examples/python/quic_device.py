"""A device over plain QUIC: sends one event at a time in binary frames, and keeps it until it is acknowledged.

TIDEGATE_URL is the gateway (default quic://localhost:4433), TIDEGATE_TOKEN a token where one is needed, and
TIDEGATE_CLIENT this device's name (default device-1). TIDEGATE_CA has PEM certificates to trust; without it a gateway on
this machine is trusted whatever it shows, and any other by the usual authorities.
"""

import argparse
import asyncio
import json
import os
import random
import ssl
import sys
import time
from urllib.parse import urlsplit

from aioquic.asyncio import connect
from aioquic.buffer import Buffer, encode_uint_var
from aioquic.quic.configuration import QuicConfiguration

URL = urlsplit(os.environ.get("TIDEGATE_URL", "quic://localhost:4433"))
HELLO = {"v": 1, "client": os.environ.get("TIDEGATE_CLIENT", "device-1")}
if "TIDEGATE_TOKEN" in os.environ:
    HELLO["token"] = os.environ["TIDEGATE_TOKEN"]
FINAL = {4002, 4003, 4006, 4007, 4011, 4013}  # close codes after which trying again is of no use
TYPES = {"hello": 1, "welcome": 2, "events": 3, "ack": 4, "ping": 6, "pong": 7, "goaway": 8, "close": 9}
REFUSALS = {1: "malformed", 2: "too_large", 3: "schema", 4: "unrouted", 5: "forbidden", 6: "expired", 7: "broker_rejected"}
LEVELS = {1: "stored", 2: "committed"}
SILENCE_S = 5  # what is not answered for so long is asked about by a ping, and given up after as long again


class Session:
    """Frames over the one stream of a connection: type, length, body."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    def send(self, kind, body):
        self.writer.write(bytes([TYPES[kind]]) + encode_uint_var(len(body)) + body)

    async def receive(self, *kinds):
        """The body of the next frame of these kinds, and which it is. Answers pings meanwhile."""
        while True:
            frame = asyncio.ensure_future(self.frame())
            if not (await asyncio.wait({frame}, timeout=SILENCE_S))[0]:
                self.send("ping", b"")
                await asyncio.wait({frame}, timeout=SILENCE_S)
            if not frame.done():
                frame.cancel()
                raise ConnectionError("the gateway says nothing")
            kind, body = frame.result()
            if kind == TYPES["ping"]:
                self.send("pong", body)
            elif kind == TYPES["close"]:
                stop_if_final(json.loads(body))
            for wanted in kinds:
                if kind == TYPES[wanted]:
                    return wanted, body

    async def frame(self):
        kind = (await self.reader.readexactly(1))[0]
        length = await self.reader.readexactly(1)
        length += await self.reader.readexactly((1 << (length[0] >> 6)) - 1)  # RFC 9000, section 16
        return kind, await self.reader.readexactly(Buffer(data=length).pull_uint_var())


def stop_if_final(close):
    if close["code"] in FINAL:
        sys.exit(f"refused: {close['code']} {close['reason']} {close.get('msg', '')}")


def measure():
    return {"type": "sensor.temperature", "data": {"celsius": round(random.gauss(20, 2), 1)}}


def events(seq, event):
    """One event: flags, number, count; alias 0 and no optional fields; a whole CloudEvent."""
    payload = json.dumps(event).encode()
    return b"\0" + encode_uint_var(seq) + encode_uint_var(1) + b"\0\0" + encode_uint_var(len(payload)) + payload


def settled(ack):
    """What an ACK says: up to which number all is settled, at which level, and what was refused by its number."""
    ack = Buffer(data=ack)
    upto, level = ack.pull_uint_var(), ack.pull_uint8()
    ack.pull_uint_var(), ack.pull_uint_var()  # credit: one event at a time is always allowed
    ack.pull_uint8(), ack.pull_uint_var()  # what holds it back, and for how long
    refusals = {}
    for _ in range(ack.pull_uint_var()):
        seq, code = ack.pull_uint_var(), ack.pull_uint8()
        refusals[seq] = f"{REFUSALS.get(code, code)}: {ack.pull_bytes(ack.pull_uint_var()).decode()}"
    return upto, LEVELS.get(level, level), refusals


async def main(count):
    HELLO["epoch"] = int(time.time() * 1000)  # names the numbering, which begins anew with this process
    tls = QuicConfiguration(alpn_protocols=["tidegate.v1"], idle_timeout=20)
    if "TIDEGATE_CA" in os.environ:
        tls.load_verify_locations(os.environ["TIDEGATE_CA"])
    elif URL.hostname in ("localhost", "127.0.0.1", "::1"):
        tls.verify_mode = ssl.CERT_NONE
    seq, event = 1, measure()
    while seq <= count:
        pause = random.uniform(0.5, 5)
        try:
            async with connect(URL.hostname, URL.port or 4433, configuration=tls) as connection:
                session = Session(*await connection.create_stream())
                session.send("hello", json.dumps({**HELLO, "next": seq}).encode())
                _, body = await session.receive("welcome")
                welcome = json.loads(body)
                refusals = {r["s"]: f"{r['code']}: {r.get('msg', '')}" for r in welcome["rej"]}
                upto, level, leaving = welcome["upto"], welcome["level"], False
                while seq <= count:
                    if upto < seq and leaving:
                        break  # the gateway shuts down: nothing new after what is on its way
                    if upto < seq:
                        session.send("events", events(seq, event))
                    while upto < seq:
                        kind, body = await session.receive("ack", "goaway")
                        if kind == "ack":
                            upto, level, refusals = settled(body)
                        else:
                            goaway, leaving = json.loads(body), True
                            pause = (goaway["after_ms"] + random.random() * goaway["jitter_ms"]) / 1000
                    print(seq, refusals.get(seq, level), flush=True)
                    seq, event = seq + 1, measure()
        except (OSError, EOFError) as error:  # EOFError: the stream ended
            why = str(error) or "no connection: is the UDP port open, and the certificate trusted?"
            print(f"away ({why}); event {seq} is kept", file=sys.stderr, flush=True)
        if seq <= count:
            await asyncio.sleep(pause)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", nargs="?", type=int, default=10, help="events to send (default 10)")
    asyncio.run(main(parser.parse_args().count))
