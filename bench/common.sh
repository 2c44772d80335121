# What the benches share; they source it.

# Keeps idle cores from sleeping until the bench ends, for benches whose server and load have a core each.
#
# The load's core sleeps whenever the load is faster than the server, and the server pays for waking it: in a virtual machine, this costs more than a
# span, and varies from minute to minute. A bare service is faster than the load and does not pay for that, so the ratio would measure the machine.
# The kernel keeps its cores in their lightest idle state while a process holds /dev/cpu_dma_latency at 0 microseconds, which only root may do.
# CORES_MAY_SLEEP=1 leaves the machine as it is.
keep_cores_awake() {
  local driver=/sys/devices/system/cpu/cpuidle/current_driver
  if [[ -n ${CORES_MAY_SLEEP:-} ]]; then
    echo "cores may sleep (CORES_MAY_SLEEP): the time to wake one counts as the server's"
  elif [[ ! -r $driver || $(<$driver) == none ]]; then
    echo "cores may sleep, since this kernel has no cpuidle driver: the time to wake one counts as the server's"
  elif [[ ! -c /dev/cpu_dma_latency ]]; then
    echo "cores may sleep, since /dev/cpu_dma_latency is missing: the time to wake one counts as the server's"
  elif ! { exec {awake}>/dev/cpu_dma_latency && printf '\0\0\0\0' >&"$awake"; } 2>/dev/null; then
    echo "cores may sleep, since only root may hold /dev/cpu_dma_latency: the time to wake one counts as the server's"
  else
    echo "cores are kept awake by /dev/cpu_dma_latency (CORES_MAY_SLEEP=1 lets them sleep)"
  fi
}

# require_free ADDRESS…: ends the bench if a process already listens there, since the bench would measure that process
require_free() {
  local taken
  for taken in "$@"; do
    if (exec 3<>"/dev/tcp/${taken/:/\/}") 2>/dev/null; then echo "cannot listen on $taken: it is in use; stop what listens there" >&2 && exit 1; fi
  done
}

# alive PID: a short wait for a process that is not ready yet; ends the bench if the process has ended
alive() {
  kill -0 "$1" 2>/dev/null || { echo "a process of the bench ended before it was ready" >&2 && exit 1; }
  sleep 0.05
}

# await PID ADDRESS: waits until the process accepts connections
await() { until (exec 3<>"/dev/tcp/${2/:/\/}") 2>/dev/null; do alive "$1"; done; }

# await_sink PID FILE: waits until the sink has written to FILE that it is ready
await_sink() { until grep -q ready "$2" 2>/dev/null; do alive "$1"; done; }

median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
