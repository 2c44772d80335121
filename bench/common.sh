# What the benches share; they source it.

# Keeps idle cores from falling asleep until the bench ends, for those whose server and load have a core each.
#
# The load falls asleep whenever it is faster than the server, and the server pays for waking it: in a virtual machine more than a span costs,
# and differently from one minute to the next. A bare service, which the load cannot outrun, does not pay, so that the ratio would tell of the
# machine. The kernel keeps its cores in their lightest idle state while a process holds /dev/cpu_dma_latency at 0 microseconds; it
# belongs to root. CORES_MAY_SLEEP=1 leaves the machine as it is.
keep_cores_awake() {
  local driver=/sys/devices/system/cpu/cpuidle/current_driver
  if [[ -n ${CORES_MAY_SLEEP:-} ]]; then
    echo "cores may sleep, as CORES_MAY_SLEEP asks: what it takes to wake one counts as the server's"
  elif [[ ! -r $driver || $(<$driver) == none ]]; then
    echo "cores may sleep, since this kernel has no cpuidle driver: what it takes to wake one counts as the server's"
  elif [[ ! -c /dev/cpu_dma_latency ]]; then
    echo "cores may sleep, since /dev/cpu_dma_latency is not here: what it takes to wake one counts as the server's"
  elif ! { exec {awake}>/dev/cpu_dma_latency && printf '\0\0\0\0' >&"$awake"; } 2>/dev/null; then
    echo "cores may sleep, since only root may hold /dev/cpu_dma_latency: what it takes to wake one counts as the server's"
  else
    echo "cores are kept awake by /dev/cpu_dma_latency (CORES_MAY_SLEEP=1 lets them sleep)"
  fi
}

# require_free ADDRESS…: what listens there already would be measured
require_free() {
  local taken
  for taken in "$@"; do
    if (exec 3<>"/dev/tcp/${taken/:/\/}") 2>/dev/null; then echo "something listens on $taken already" >&2 && exit 1; fi
  done
}

# alive PID: a moment's wait for a process that shall get ready; one that has ended never will
alive() {
  kill -0 "$1" 2>/dev/null || { echo "what the bench needs has ended before it was ready" >&2 && exit 1; }
  sleep 0.05
}

# await PID ADDRESS: until it accepts connections
await() { until (exec 3<>"/dev/tcp/${2/:/\/}") 2>/dev/null; do alive "$1"; done; }

# await_sink PID FILE: until it says in FILE that it is ready
await_sink() { until grep -q ready "$2" 2>/dev/null; do alive "$1"; done; }

median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
