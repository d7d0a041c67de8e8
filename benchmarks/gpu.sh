#!/usr/bin/env bash
# What only a GPU can show, in under eight minutes, on a machine that has torch, transformers, accelerate and safetensors:
#
#     benchmarks/gpu.sh OUT [WHEELS]
#
# WHEELS is a folder of wheels of what that machine lacks, where it has no package index: python -m pip download
# --no-deps --only-binary=:all: -d WHEELS peft pyarrow pydantic pydantic-core … (bitsandbytes for the steps in 4 bits).
# OUT/gpu.json has each step's outcome and figures, and is whole after every step; OUT/gpu.log what the steps said.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?name the folder of the results}
[ -z "${2:-}" ] || python3 -m pip install --quiet --no-index --no-deps "$2"/*.whl
exec python3 -m benchmarks.gpu "$out"
