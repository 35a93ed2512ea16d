#!/bin/sh
# Sends one event over HTTP. The answer comes once it is durable.
#
#   TIDEGATE_URL    the gateway; default http://localhost:8080
#   TIDEGATE_TOKEN  a token, where the gateway asks for one
set -eu

curl --silent --show-error --fail-with-body --write-out '\n' "${TIDEGATE_URL:-http://localhost:8080}/v1/events" \
    ${TIDEGATE_TOKEN:+--oauth2-bearer "$TIDEGATE_TOKEN"} \
    --header 'Content-Type: application/json' \
    --data '{"type": "greeting.sent", "data": {"text": "hello"}}'
