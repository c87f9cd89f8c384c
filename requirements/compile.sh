#!/usr/bin/env bash
# Locks the dependencies of pyproject.toml, with hashes and without the name of any registry: base.txt is what every
# deployable needs, the others add their extra. All share dev.txt's versions.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-package nitamono \
    --custom-compile-command requirements/compile.sh --constraints requirements/constraints.txt "$@"
}
compile pyproject.toml --extra demo --output-file requirements/demo.txt
compile pyproject.toml --constraints requirements/demo.txt --output-file requirements/base.txt
# A worker's image reads photos, and its commands listings, from wherever they are.
compile pyproject.toml --extra worker --extra cloud --extra sql --constraints requirements/demo.txt --output-file requirements/worker.txt
for extra in api analysis train; do
  compile pyproject.toml --extra $extra --constraints requirements/demo.txt --output-file requirements/$extra.txt
done
compile pyproject.toml --extra train --extra dev --constraints requirements/train.txt --output-file requirements/dev.txt
compile pyproject.toml --extra peers --constraints requirements/dev.txt --output-file requirements/peers.txt
