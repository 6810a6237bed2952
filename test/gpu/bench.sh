#!/bin/sh
# Measures the CUDA backend on this computer's NVIDIA GPU: npm run bench:gpu, or
# sh test/gpu/bench.sh [OPTIONS OF bench_gpu]. Markdown on the standard output; JSON, and the same
# Markdown, in RINGSIDE_GPU_LOGS (build/gpu/logs).
#
# In the environment: RINGSIDE_GPU_SECONDS, for all of it (560); RINGSIDE_GPU_FOLDER, where models of
# up to 17 GB are written and deleted (/dev/shm where it is large enough, else the temporary folder).
cd "$(dirname "$0")/../.." || exit 1
budget=${RINGSIDE_GPU_SECONDS:-560}
. test/gpu/build.sh
build_target bench_gpu || exit 1

# cuBLAS, for one of the ceilings: the toolkit's, or one that came with a Python package.
if [ -z "$RINGSIDE_CUBLAS" ]; then
  for candidate in /usr/local/cuda/lib64/libcublas.so.1? /usr/local/cuda/targets/*/lib/libcublas.so.1? \
    $(python3 -c 'import glob, site, sys
for folder in sys.path + site.getsitepackages():
    for found in sorted(glob.glob(folder + "/nvidia/*/lib/libcublas.so.1?")):
        print(found)' 2>/dev/null); do
    if [ -e "$candidate" ]; then
      RINGSIDE_CUBLAS=$candidate
      break
    fi
  done
fi
export RINGSIDE_CUBLAS
echo "cuBLAS: ${RINGSIDE_CUBLAS:-not found}"

free_kib() { df -Pk "$1" 2>/dev/null | awk 'NR == 2 { print $4 }'; }
folder=$RINGSIDE_GPU_FOLDER
if [ -z "$folder" ]; then
  folder=${TMPDIR:-/tmp}
  available=$(awk '/MemAvailable/ { print $2 }' /proc/meminfo 2>/dev/null)
  if [ "$(free_kib /dev/shm || echo 0)" -gt 20000000 ] 2>/dev/null &&
    [ "${available:-0}" -gt 40000000 ]; then
    folder=/dev/shm
  fi
fi
scratch=$(mktemp -d "$folder/ringside-bench.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 143' TERM INT HUP
echo "Models are written to $scratch, with $(($(free_kib "$scratch") / 1000000)) GB of room."

seconds=$(($(left "$budget") - 10))
: >"$logs/bench.md" # for tail, which may be first
"$build/bench/bench_gpu" --json "$logs/bench.json" --folder "$scratch" --budget "$seconds" "$@" \
  >"$logs/bench.md" 2>&1 &
program=$!
tail -f --pid=$program -n +1 "$logs/bench.md" &
follower=$!
( sleep $((seconds + 20)) && kill $program 2>/dev/null ) >/dev/null 2>&1 &
guard=$!
wait $program
status=$?
kill $guard 2>/dev/null
wait $follower 2>/dev/null
exit $status
