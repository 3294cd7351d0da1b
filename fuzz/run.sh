#!/usr/bin/env bash
# Builds the fuzz targets and runs each for some seconds, one a processor: fuzz/run.sh SECONDS [TARGET…].
# `make fuzz` calls it, and says what is missing. FUZZ_SEED=n begins with the same mutations every time, as CI
# does: whether a change passes is no matter of luck.
#
# Rust's own coverage pass and libFuzzer are enough, so that the stable compiler does; there is no memory
# checker, for what is fuzzed has no unsafe code. What is found new stays in the corpus of the work folder;
# an input that breaks something is left in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?"usage: fuzz/run.sh SECONDS [TARGET…]"}
shift
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
  for file in fuzz/src/targets/*.rs; do
    name=$(basename "$file" .rs)
    [ "$name" = mod ] || targets+=("$name")
  done
fi

host=$(rustc -vV | awk '/^host:/ { print $2 }')
work=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"
RUSTFLAGS=$(tr '\n' ' ' <<<"$coverage") CARGO_TARGET_DIR=$work \
  cargo build --quiet --locked --release --target "$host" --manifest-path fuzz/Cargo.toml

run() { # run TARGET
  local new=$work/corpus/$1 log=$work/$1.log
  mkdir -p "$new"
  # With -runs=0 only the committed inputs are run.
  local bound=(-max_total_time="$seconds")
  [ "$seconds" != 0 ] || bound=(-runs=0)
  [ -z "${FUZZ_SEED:-}" ] || bound+=(-seed="$FUZZ_SEED")
  if ! FUZZ_TARGET=$1 "$work/$host/release/targets" "$new" "fuzz/corpus/$1" "${bound[@]}" \
      -dict=fuzz/json.dict -max_len=4096 -timeout=60 -rss_limit_mb=2048 \
      -artifact_prefix="fuzz/artifacts/$1-" -print_final_stats=1 2>"$log"; then
    tail -40 "$log"
    echo "fuzz target $1 failed; the input is in fuzz/artifacts"
    return 1
  fi
  awk -v target="$1" '
    /number_of_executed_units/ { runs = $NF }
    / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") cov = $(i + 1) }
    END { printf "fuzz target %s: %s runs, coverage %s\n", target, runs, cov }' "$log"
}

mkdir -p fuzz/artifacts
export seconds work host
export -f run
processors=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
printf '%s\n' "${targets[@]}" | xargs -P "$processors" -I TARGET bash -euo pipefail -c 'run TARGET'
rmdir fuzz/artifacts 2>/dev/null || true
