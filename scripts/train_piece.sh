#!/usr/bin/env bash
# One piece of a training on a machine that is lent for minutes and keeps nothing: docs/training.md.
#
#   scripts/train_piece.sh RECIPE DATA PIECES OUT MINUTES [options of defocusctl train]
#
# The run goes on from the files in PIECES, if there are any, and is left in OUT, both in files below 16 MiB. With WHEELS,
# a folder, defocusctl and what it needs beyond PyTorch are installed from there first. PYTHON is the interpreter.
set -euo pipefail
recipe=$1 data=$2 pieces=$3 out=$4 minutes=$5
shift 5
python=${PYTHON:-python3}
run=$(mktemp -d)
trap 'rm -rf "$run"' EXIT

if [ -n "${WHEELS:-}" ]; then
    "$python" -m pip install --quiet --no-index --no-deps "$WHEELS"/*.whl
fi
if compgen -G "$pieces/run.tar.*" >/dev/null; then
    cat "$pieces"/run.tar.* | tar -x -C "$run"
fi
"$python" -m defocusctl train "$recipe" --data "$data" --out "$run" --resume --max-minutes "$minutes" "$@"
mkdir -p "$out"
tar -c -C "$run" . | split --bytes=15M - "$out/run.tar."
