#!/bin/sh
# Makes .venv and installs requirements/$1.txt ("demo", "train", "peers" or "dev") and the project into it; the Makefile runs it
# from the root of the repository. What is there already is kept. PYTHON names the Python to use.
set -eu

requirements="requirements/$1.txt"
venv_python=.venv/bin/python

is_fit() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
has_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

find_python() {
    bare=
    for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3.14 python3 python}; do
        is_fit "$candidate" || continue
        if has_venv "$candidate"; then
            echo "$candidate"
            return
        fi
        bare=$candidate
    done
    if [ -n "$bare" ]; then
        echo "$bare lacks the module venv or ensurepip: install it (Debian: apt-get install python3-venv)." >&2
    else
        echo "No Python of 3.11 or later was found${PYTHON:+ as $PYTHON}: install one (Debian: apt-get install" \
            "python3 python3-venv; macOS: brew install python), or name one: make PYTHON=/path/to/python3." >&2
    fi
    return 1
}

if ! is_fit "$venv_python"; then
    python=$(find_python)
    echo "Making .venv with $("$python" --version) …"
    rm -rf .venv
    "$python" -m venv .venv
fi
if ! cmp -s requirements/uv.txt .venv/uv.stamp; then
    echo "Installing uv …"
    "$venv_python" -m pip --version >/dev/null 2>&1 || "$venv_python" -m ensurepip --upgrade >/dev/null
    "$venv_python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
    cp requirements/uv.txt .venv/uv.stamp
fi
echo "Installing $requirements …"
[ -z "${PIP_INDEX_URL:-}" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}"
# The certificates that pip and git trust: a company's network may have its own.
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"
# Compiled once here: where PYTHONDONTWRITEBYTECODE is set, as in many containers, each process would do it again
# for all that it imports, and torch alone has thousands of files.
.venv/bin/uv pip install --compile-bytecode --python "$venv_python" --require-hashes -r "$requirements"
# Built with the setuptools that requirements/uv.txt pins: nothing is fetched that has no hash.
.venv/bin/uv pip install --quiet --python "$venv_python" --no-build-isolation --no-deps --editable .
