#!/usr/bin/env bash
# Locks the dependencies of pyproject.toml, with hashes and without the name of any registry.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --custom-compile-command requirements/compile.sh --constraints requirements/constraints.txt "$@"
}
compile pyproject.toml --output-file requirements/serve.txt
compile pyproject.toml --extra train --constraints requirements/serve.txt --output-file requirements/train.txt
compile pyproject.toml --extra train --extra dev --constraints requirements/train.txt \
  --output-file requirements/dev.txt
