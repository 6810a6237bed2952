# Sourced by test.sh and bench.sh, from the repository's root: finds nvcc, and configures build/gpu.
# After it, build_target NAME builds one target; its messages are in the log that is named where it
# fails.

started=$(date +%s)
build=${RINGSIDE_GPU_BUILD:-$PWD/build/gpu}
logs=${RINGSIDE_GPU_LOGS:-$build/logs}
mkdir -p "$build/logs" "$logs"

left() { echo $(($1 - ($(date +%s) - started))); }

# Of NVIDIA's GPUs the first, such as 9.0; nothing where that can't be asked.
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1)
case $capability in
  [0-9]*.[0-9]) architectures=$(echo "$capability" | tr -d .)-real ;;
  *) architectures=native ;;
esac
architectures=${RINGSIDE_CUDA_ARCHITECTURES:-$architectures}

if [ -z "$CUDACXX" ]; then
  for candidate in nvcc /usr/local/cuda/bin/nvcc /opt/cuda/bin/nvcc; do
    if command -v "$candidate" >/dev/null 2>&1; then
      CUDACXX=$(command -v "$candidate")
      break
    fi
  done
fi
if [ -z "$CUDACXX" ]; then
  echo "There is no nvcc on the PATH or in /usr/local/cuda. Install the CUDA toolkit, or set CUDACXX."
  exit 1
fi
export CUDACXX

jobs=$(nproc 2>/dev/null || echo 2)
jobs=${RINGSIDE_JOBS:-$jobs}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null ||
  echo "nvidia-smi does not answer."
echo "$("$CUDACXX" --version | grep release); $(c++ --version | head -n 1); $(cmake --version | head -n 1)"
echo "Building for $architectures with $jobs jobs; logs are in $logs, the compilers' in $build/logs."

show_log() { # the end of a log, with what a compiler says is wrong first
  grep -n -i -E "error|fatal" "$1" | head -n 15
  echo "..."
  tail -n 15 "$1"
}

if ! cmake -S test/gpu -B "$build" -DCMAKE_CUDA_COMPILER="$CUDACXX" \
  -DRINGSIDE_CUDA_ARCHITECTURES="$architectures" $RINGSIDE_CMAKE_OPTIONS \
  >"$build/logs/configure.log" 2>&1; then
  echo "CMake can't configure:"
  show_log "$build/logs/configure.log"
  exit 1
fi

build_target() {
  before=$(date +%s)
  if cmake --build "$build" --parallel "$jobs" --target "$1" >"$build/logs/build-$1.log" 2>&1; then
    echo "built $1 ($(($(date +%s) - before)) s)"
    return 0
  fi
  echo "$1 does not build:"
  [ "$logs" = "$build/logs" ] || cp "$build/logs/build-$1.log" "$logs/"
  show_log "$build/logs/build-$1.log"
  return 1
}
