#!/bin/sh
# install.sh UV FOLDER PYTHON...: an environment in the folder for each interpreter, with the project and what
# requirements.txt pins, and an older gunicorn in a folder of its own; prints their interpreters, joined by colons. Safe
# to repeat.
set -eu
uv=$1 folder=$2
shift 2
wanted=tests/apps/requirements.txt
found=
for python in "$@"; do
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  venv=$folder/apps-$version
  if ! cmp -s "$wanted" "$venv/installed.txt"; then
    "$uv" venv --quiet --system-certs --clear --python "$python" "$venv" >&2
    "$uv" pip install --quiet --system-certs --python "$venv/bin/python" --editable . --requirement "$wanted" >&2
    "$uv" pip install --quiet --system-certs --python "$venv/bin/python" --target "$venv/gunicorn-22" --no-deps \
      gunicorn==22.0.0 >&2
    cp "$wanted" "$venv/installed.txt"
  fi
  found=${found:+$found:}$(pwd)/$venv/bin/python
done
echo "$found"
