"""One event over HTTP with the CloudEvents SDK: nothing here knows Tidegate.

    python standard_sdk.py

TIDEGATE_URL is the gateway (default http://localhost:8080), TIDEGATE_TOKEN a token where one is needed.
"""

import os
import sys
import urllib.error
import urllib.request

from cloudevents.conversion import to_structured
from cloudevents.http import CloudEvent

url = os.environ.get("TIDEGATE_URL", "http://localhost:8080")
event = CloudEvent({"type": "order.placed", "source": "/shop/berlin"}, {"order": 17, "total": 59.9})
headers, body = to_structured(event)
if "TIDEGATE_TOKEN" in os.environ:
    headers["Authorization"] = f"Bearer {os.environ['TIDEGATE_TOKEN']}"

request = urllib.request.Request(f"{url}/v1/events", body, headers)
try:
    with urllib.request.urlopen(request, timeout=35) as answer:
        print(answer.read().decode())
except urllib.error.HTTPError as refusal:
    # The gateway says in its answer what is wrong.
    sys.exit(f"refused: {refusal.code} {refusal.read().decode()}")
except urllib.error.URLError as error:
    sys.exit(f"{url} cannot be reached: {error.reason}")
