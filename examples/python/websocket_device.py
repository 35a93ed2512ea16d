"""A simple device: measures, sends one event at a time over WebSocket and keeps it until it is acknowledged.

TIDEGATE_URL is the stream (default ws://localhost:8080/v1/stream), TIDEGATE_TOKEN a token where one is needed, and
TIDEGATE_CLIENT this device's name (default device-1).
"""

import argparse
import json
import os
import random
import sys
import time

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect

URL = os.environ.get("TIDEGATE_URL", "ws://localhost:8080/v1/stream")
HELLO = {"t": "hello", "v": 1, "client": os.environ.get("TIDEGATE_CLIENT", "device-1")}
if "TIDEGATE_TOKEN" in os.environ:
    HELLO["token"] = os.environ["TIDEGATE_TOKEN"]
FINAL = {4002, 4003, 4006, 4007, 4011, 4013}  # close codes after which trying again is of no use


def send(socket, frame):
    socket.send(json.dumps(frame))


def receive(socket, *kinds):
    """The next frame of these kinds. Answers pings meanwhile; gives up on silence, since the gateway pings every 25 s."""
    while True:
        frame = json.loads(socket.recv(timeout=60))
        if frame["t"] == "ping":
            send(socket, {**frame, "t": "pong"})
        elif frame["t"] == "close":
            stop_if_final(frame["code"], f"{frame['reason']} {frame.get('msg', '')}")
        elif frame["t"] in kinds:
            return frame


def stop_if_final(code, why):
    if code in FINAL:
        sys.exit(f"refused: {code} {why}")


def measure():
    return {"type": "sensor.temperature", "data": {"celsius": round(random.gauss(20, 2), 1)}}


def main(count):
    HELLO["epoch"] = int(time.time() * 1000)  # names the numbering, which begins anew with this process
    seq, event = 1, measure()
    while seq <= count:
        goaway = None
        try:
            with connect(URL, subprotocols=["tidegate.v1.json"]) as socket:
                send(socket, {**HELLO, "next": seq})
                settled = receive(socket, "welcome")
                while seq <= count and not goaway:
                    if settled["upto"] < seq:
                        send(socket, {"t": "ev", "s": seq, "e": [event]})
                    while settled["upto"] < seq:
                        frame = receive(socket, "ack", "goaway")
                        if frame["t"] == "goaway":
                            goaway = frame  # the gateway shuts down: nothing new after what is on its way
                        else:
                            settled = frame
                    refusals = [f"{r['code']}: {r.get('msg', '')}" for r in settled.get("rej", []) if r["s"] == seq]
                    print(seq, refusals[0] if refusals else settled["level"], flush=True)
                    seq, event = seq + 1, measure()
        except (OSError, WebSocketException) as error:
            # Sending may fail before the gateway's close frame is read: the code is with the connection too.
            if isinstance(error, ConnectionClosed) and error.rcvd:
                stop_if_final(error.rcvd.code, error.rcvd.reason)
            print(f"away ({error}); event {seq} is kept", file=sys.stderr, flush=True)
            if not goaway:
                time.sleep(random.uniform(0.5, 5))
        if goaway and seq <= count:
            time.sleep((goaway["after_ms"] + random.random() * goaway["jitter_ms"]) / 1000)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", nargs="?", type=int, default=10, help="events to send (default 10)")
    main(parser.parse_args().count)
