#!/bin/sh
# install.sh PYTHON VENV LOCK...: makes the virtual environment if it is not there, fills it with exactly what the locks
# name, checked by hash, then lays the project over it as an editable install. Safe to repeat; every failure is one line.
set -eu
python=$1 venv=$2
shift 2

fail() { echo "error: $*" >&2; exit 1; }

# A user's own pip settings for installs outside of virtual environments would break those inside.
export PIP_USER=no PIP_DISABLE_PIP_VERSION_CHECK=1
unset PIP_TARGET PIP_PREFIX PYTHONHOME PYTHONPATH || :

command -v "$python" >/dev/null 2>&1 ||
  fail "$python is not there: install Python 3.11 or later, or name one: make PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "$python is $("$python" -V 2>&1), 3.11 or later is needed: make PYTHON=/path/to/python3.11"

# Also made anew when the interpreter it was made from is gone.
if ! "$venv/bin/python" -c '' 2>/dev/null; then
  echo "making $venv with $("$python" -V 2>&1), once; packages are fetched for a minute or two" >&2
  if "$python" -c 'import ensurepip' 2>/dev/null; then
    "$python" -m venv --clear "$venv"
  else
    # Debian splits ensurepip off into python3-venv; an outside pip (22.3 or later) can fill an environment as well.
    "$python" -m venv --clear --without-pip "$venv" 2>/dev/null &&
      "$python" -m pip --python "$venv/bin/python" --version >/dev/null 2>&1 || {
        rm -rf "$venv"
        fail "$python can make no virtual environment: install its venv module (Debian, Ubuntu: apt install python3-venv)"
      }
  fi
fi
if "$venv/bin/python" -c 'import pip' 2>/dev/null; then
  pip() { "$venv/bin/python" -m pip "$@"; }
else
  pip() { "$python" -m pip --python "$venv/bin/python" "$@"; }
fi

set -- $(printf -- '--requirement %s ' "$@")
pip install --quiet --require-hashes --only-binary :all: "$@" ||
  fail "the locked packages could not be installed; pip says why above"
pip install --quiet --no-deps --no-build-isolation --editable . ||
  fail "the project itself could not be installed; pip says why above"
