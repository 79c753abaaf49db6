#!/bin/sh
# Installs what `make test-languages` produces with: FOLDER. Needs npm. Asks the registry.
set -eu

folder=$1
if [ ! -d "$folder/node_modules/kafkajs" ]; then
    mkdir -p "$folder"
    echo '{"private": true}' >"$folder/package.json"
    npm install --silent --no-audit --no-fund --prefix "$folder" kafkajs@2 avsc@5 typescript@5 @types/node@20 >&2
fi
echo "$folder"
