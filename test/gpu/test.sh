#!/bin/sh
# Tests on this computer's NVIDIA GPU: npm run test:gpu, or sh test/gpu/test.sh. Needs CMake, a C++20
# compiler and nvcc; neither Node nor doctest. The last line counts.
#
# In the environment: RINGSIDE_GPU_SECONDS, for all of it (540); RINGSIDE_GPU_LOGS, a folder for whole
# logs (build/gpu/logs); RINGSIDE_GPU_ONLY, some of "kernels engine models memcheck racecheck" (all);
# RINGSIDE_GPU_BUILD, the build's folder (build/gpu).
cd "$(dirname "$0")/../.." || exit 1
budget=${RINGSIDE_GPU_SECONDS:-540}
only=${RINGSIDE_GPU_ONLY:-kernels engine models memcheck racecheck}
. test/gpu/build.sh

passed=0
failed=0
unfinished=0
wanted() { case " $only " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }
lost() { # a whole lane is lost
  failed=$((failed + 1))
  echo "$1: 0 passed, 1 failed"
}

# Of a doctest log, test cases that passed or failed.
count_of() { sed -n "s/.*test cases: .*[^0-9]\([0-9][0-9]*\) $2.*/\1/p" "$1" | tail -n 1; }
trouble='ERROR|FAILED|THREW|threw|values:|logged:|failures more|[Ee]rror:|terminate|what\(\)'

# limited NAME SECONDS COMMAND...: runs it within that and what is left of the budget, its output in
# $log; $status and $seconds are what came of it. Fails where no time is left.
limited() {
  name=$1
  limit=$2
  shift 2
  log=$logs/$name.log
  before=$(date +%s)
  [ "$limit" -gt "$(left "$budget")" ] && limit=$(left "$budget")
  if [ "$limit" -lt 10 ]; then
    echo "$name: left out, no time is left"
    unfinished=$((unfinished + 1))
    return 1
  fi
  timeout -k 5 "$limit" "$@" >"$log" 2>&1
  status=$?
  seconds=$(($(date +%s) - before))
}

# one_by_one PROGRAM [-tc=...]: each test case in a process of its own, because a device that a kernel
# has put out of order answers nothing more in that process, so that the cases behind say nothing. For
# a minute: the other lanes want their time.
one_by_one() {
  echo "one by one:"
  before=$(date +%s)
  : >"$logs/$name-single.log"
  "$1" -ltc ${2:+"$2"} 2>/dev/null | while IFS= read -r title; do
    [ $(($(date +%s) - before)) -lt 60 ] && [ "$(left "$budget")" -gt 40 ] || break
    pattern=$(printf %s "$title" | sed 's/,/\\,/g')
    timeout -k 5 20 "$1" -d -tc="$pattern" </dev/null >"$build/logs/case.log" 2>&1 ||
      echo "$title: status $?"
    tail -n 12 "$build/logs/case.log" >>"$logs/$name-single.log"
  done
}

# lane NAME SECONDS PROGRAM -d [-tc=...]: runs a doctest program.
lane() {
  limited "$@" || return
  good=$(count_of "$log" passed)
  bad=$(count_of "$log" failed)
  if [ -z "$good" ]; then # it did not come to its end
    good=$(grep -c '^ *[0-9.]* s: ' "$log")
    bad=$(grep -c '^FAILED' "$log")
    bad=$((bad + 1))
    if [ $status -eq 124 ] || [ $status -eq 137 ]; then
      echo "$name was ended after $limit s, behind:"
    else
      echo "$name ended with status $status, behind:"
    fi
    grep ' s: ' "$log" | tail -n 1
    tail -n 3 "$log"
  elif [ $status -ne 0 ] && [ "$bad" -eq 0 ]; then
    bad=1
    tail -n 5 "$log"
  fi
  if [ "$bad" -gt 0 ]; then grep -n -E "$trouble" "$log" | cut -c 1-300 | head -n 50; fi
  # Ended by a signal, but not for its time: then nothing is wrong with the device.
  if grep -q -E 'illegal (memory|address|instruction)|misaligned address|launch failure' "$log" ||
    { [ "$status" -gt 128 ] && [ "$status" -ne 137 ]; }; then
    one_by_one "$3" ${5:+"$5"}
  fi
  grep 'MESSAGE:' "$log" | sed 's|.*/|  |' | head -n 30
  passed=$((passed + good))
  failed=$((failed + bad))
  echo "$name: $good passed, $bad failed ($seconds s)"
}

# sanitizer TOOL SECONDS COMMAND...: what it finds within its time counts; not to end by then is no
# failure, because everything is ten times slower or more.
sanitizer() {
  tool=$1
  limit=$2
  shift 2
  options="--error-exitcode 77 --print-limit 5"
  # A call that is refused is the backend's own affair: it says what became of it.
  [ "$tool" = memcheck ] && options="$options --report-api-errors no"
  # shellcheck disable=SC2086 # several words
  limited "$tool" "$limit" "$checker" --tool "$tool" $options "$@" || return
  done_cases=$(grep -c '^ *[0-9.]* s: ' "$log")
  if grep -q 'Device not supported' "$log"; then
    echo "$tool: compute-sanitizer does not support this device here"
    unfinished=$((unfinished + 1))
  elif grep -E '^========= (Invalid|Error|Out-of-range|Misaligned|Race|Barrier|Uninit)' "$log" |
    grep -q -v "didn't terminate" || [ $status -eq 77 ]; then # which is said where time was over
    grep -E '^=========' "$log" | head -n 40
    failed=$((failed + 1))
    echo "$tool: 0 passed, 1 failed ($seconds s)"
  elif [ $status -eq 124 ] || [ $status -eq 137 ]; then
    grep -E '^========= (Warning|RACECHECK)' "$log" | head -n 10
    echo "$tool: found nothing in $done_cases test cases, then its $limit s were over"
    unfinished=$((unfinished + 1))
  elif [ $status -ne 0 ]; then
    tail -n 8 "$log"
    failed=$((failed + 1))
    echo "$tool: 0 passed, 1 failed ($seconds s)"
  else
    grep -E '^========= (Warning|RACECHECK)' "$log" | head -n 10
    passed=$((passed + 1))
    echo "$tool: 1 passed, 0 failed ($done_cases test cases, $seconds s)"
  fi
}

if build_target ringside_cuda; then
  # Nothing but the driver may be needed where the library runs.
  libraries=$(ldd "$build/library/ringside_cuda.so" | grep -E 'not found|libcuda|cublas')
  if [ -n "$libraries" ]; then
    echo "The library needs more than it may: $libraries"
    lost library
  fi
else
  lost library
fi

have_kernels=false
if wanted kernels || wanted memcheck || wanted racecheck; then
  if build_target cuda_test; then have_kernels=true; else lost "kernels build"; fi
fi
if wanted kernels && $have_kernels; then lane kernels 240 "$build/kernels_test/cuda_test" -d; fi

if wanted engine || wanted models; then
  if build_target native_tests; then
    RINGSIDE_GPU_LIBRARY=$build/library/ringside_cuda.so
    RINGSIDE_TEST_GPU_ALONE=1
    export RINGSIDE_GPU_LIBRARY RINGSIDE_TEST_GPU_ALONE
    wanted engine && lane engine 150 "$build/native_test/native_tests" -d -tc="*GPU*"
    wanted models && lane models 180 "$build/native_test/native_tests" -d \
      -tc="*every backend computes*,*what is reused*"
  else
    lost "engine build"
  fi
fi

checker=
for candidate in compute-sanitizer /usr/local/cuda/bin/compute-sanitizer \
  /usr/local/cuda/compute-sanitizer/compute-sanitizer; do
  if command -v "$candidate" >/dev/null 2>&1; then checker=$(command -v "$candidate"); fi
done
if $have_kernels && { wanted memcheck || wanted racecheck; }; then
  if [ -z "$checker" ]; then
    echo "compute-sanitizer is not installed: left out"
    unfinished=$((unfinished + 1))
  else
    # Short ones of every kernel: what is behind "all types" or "any size" takes minutes here.
    wanted memcheck && sanitizer memcheck 100 "$build/kernels_test/cuda_test" -d \
      -tc="*recorded*,*repeated pass*,*snapshots*,*forms are*,*drawn*,*no queries*,*placed weights*,*parts of several*,*gate_up*,*differ in type*,*no expert*,*lightning is done*,norm*,layernorm*,*softmax*,route*"
    wanted racecheck && sanitizer racecheck 75 "$build/kernels_test/cuda_test" -d \
      -tc="*recorded*,*snapshots*,*drawn*,*gate_up*,*differ in type*,*no expert*,*lightning is done*,norm*,route*"
  fi
fi

echo "GPU: $passed passed, $failed failed, $unfinished not finished ($(($(date +%s) - started)) s)"
[ "$failed" -eq 0 ]
