#!/bin/bash
# smoke-test.sh: does docker-compose.yml do its job here? Brings it up under a project name, ports and volumes of its own,
# sends events of all five kinds from this host, finds them in PostgreSQL, takes everything down, brings it up again,
# finds them still there and new ones arriving, and leaves nothing behind. Needs Docker with compose, python3 and make.
set -euo pipefail
cd "$(dirname "$0")/.."

wait_seconds=60
rounds=20
kinds=(chatflow_created tool_created assistant_created vector_upserted prediction_sent)
project=flowise-telemetry-smoke-$$

free_port() {
  .venv/bin/python -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
compose() { docker compose --project-name "$project" --progress quiet "$@"; }
query() { compose exec -T postgres psql --username=telemetry --no-align --tuples-only --command="$1"; }

make --silent .venv/run-ready
KAFKA_PORT=$(free_port) POSTGRES_PORT=$(free_port)
export KAFKA_PORT POSTGRES_PORT FLOWISE_TELEMETRY_IMAGE=$project
# The events are ours to send here, whatever this machine's owner wishes for other programs.
unset DISABLE_FLOWISE_TELEMETRY DO_NOT_TRACK

work=$(mktemp -d)
clean_up() {
  local status=$?
  if [ $status != 0 ]; then
    compose ps --all || :
    compose logs --no-color --tail 10 kafka postgres || :
    compose logs --no-color --tail 40 topics consumer || :
    echo "error: the smoke test failed"
  fi >&2
  compose down --volumes --rmi local --timeout 10 || :
  docker image rm --force "$project" >/dev/null 2>&1 || :
  rm -rf "$work"
  exit $status
}
trap clean_up EXIT
trap 'exit 130' INT TERM

events() {  # $rounds of each kind
  .venv/bin/python - "$rounds" <<'PYTHON'
import json, sys, uuid

graph = {
    "nodes": ["chatOpenAI_0", "pinecone_0", "conversationalRetrievalQAChain_0"],
    "edges": [
        {"source": "chatOpenAI_0", "target": "conversationalRetrievalQAChain_0"},
        {"source": "pinecone_0", "target": "conversationalRetrievalQAChain_0"},
    ],
}
for _ in range(int(sys.argv[1])):
    flow = {"version": "3.0.1", "chatflowId": str(uuid.uuid4()), "flowGraph": graph}
    for event, properties in {
        "chatflow_created": flow,
        "tool_created": {"version": "3.0.1", "toolId": str(uuid.uuid4()), "toolName": "get_weather"},
        "assistant_created": {"version": "3.0.1", "assistantId": str(uuid.uuid4())},
        "vector_upserted": {**flow, "type": "INTERNAL", "stopNodeId": "pinecone_0"},
        "prediction_sent": {**flow, "type": "EXTERNAL", "chatId": str(uuid.uuid4())},
    }.items():
        print(json.dumps({"event": event, "properties": properties}))
PYTHON
}

send() {
  events >"$work/events.jsonl"
  FLOWISE_TELEMETRY_BOOTSTRAP_SERVERS=127.0.0.1:$KAFKA_PORT .venv/bin/flowise-telemetry send "$work/events.jsonl"
}

expect() {  # ROWS: waits until each table has as many, each event once
  local kind count deadline=$((SECONDS + wait_seconds))
  for kind in "${kinds[@]}"; do
    until count=$(query "select count(*) || ' ' || count(distinct event_id) from $kind" 2>/dev/null) && [ "$count" = "$1 $1" ]; do
      if [ $SECONDS -ge $deadline ]; then
        echo "error: $kind has '$count' rows and distinct events after $wait_seconds s, expected '$1 $1'" >&2
        exit 1
      fi
      sleep 0.5
    done
    echo "  $kind: $1 rows"
  done
}

echo "compose: up ($project)"
compose up --detach --build --wait
send
echo "compose: the consumer answers at $(compose port consumer 9464)"
.venv/bin/python -c 'import sys, urllib.request; urllib.request.urlopen(f"http://{sys.argv[1]}/metrics", timeout=60)' \
  "$(compose port consumer 9464)"
compose --profile monitoring config --quiet
echo "compose: in PostgreSQL"
expect $rounds
echo "compose: down and up"
compose down
compose up --detach --wait
expect $rounds
send
echo "compose: sent again"
expect $((2 * rounds))
echo "compose: ok, in $SECONDS s"
