#!/bin/sh
# Installs PostHog's clients, with which `make test-gateway` sends: FOLDER UV PYTHON. Needs npm. Asks the registries.
set -eu

folder=$1 uv=$2 python=$3
for version in 3.6.3 latest; do
    if [ ! -d "$folder/node-$version/node_modules/posthog-node" ]; then
        mkdir -p "$folder/node-$version"
        echo '{"private": true}' >"$folder/node-$version/package.json"
        npm install --silent --no-audit --no-fund --prefix "$folder/node-$version" "posthog-node@$version" >&2
    fi
done
if [ ! -x "$folder/python/bin/python" ]; then
    "$uv" venv --quiet --python "$python" "$folder/python"
    "$uv" pip install --quiet --system-certs --python "$folder/python/bin/python" "posthog>=6,<8"
fi
echo "$folder"
