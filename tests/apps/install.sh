#!/bin/sh
# install.sh UV FOLDER PYTHON...: an environment in the folder for each interpreter, with the project and what
# requirements.txt pins; prints their interpreters, joined by colons. An older gunicorn has a folder of its own there.
# uWSGI is compiled, except for a smoke (APP_SMOKE): where that fails, its tests are skipped by name. Safe to repeat.
set -eu
uv=$1 folder=$2
shift 2
wanted=tests/apps/requirements.txt
found=
for python in "$@"; do
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  venv=$folder/apps-$version
  install() { "$uv" pip install --quiet --system-certs --python "$venv/bin/python" "$@" >&2; }
  if ! cat "$wanted" "$0" | cmp -s - "$venv/installed.txt"; then
    "$uv" venv --quiet --system-certs --clear --python "$python" "$venv" >&2
    install --editable . --requirement "$wanted"
    install --target "$venv/gunicorn-22" --no-deps gunicorn==22.0.0
    cat "$wanted" "$0" > "$venv/installed.txt"
  fi
  if [ -z "${APP_SMOKE:-}" ] && [ ! -x "$venv/bin/uwsgi" ]; then
    install uwsgi==2.0.31 || echo "uWSGI could not be built for $python: it needs a C compiler" >&2
  fi
  found=${found:+$found:}$(pwd)/$venv/bin/python
done
echo "$found"
