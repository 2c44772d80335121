# Sourced by the benches whose server and load have a core each: keeps idle cores from falling asleep until the bench ends.
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
  elif ! { exec {awake}>/dev/cpu_dma_latency && printf '\0\0\0\0' >&"$awake"; } 2>/dev/null; then
    echo "cores may sleep, since only root may hold /dev/cpu_dma_latency: what it takes to wake one counts as the server's"
  else
    echo "cores are kept awake by /dev/cpu_dma_latency (CORES_MAY_SLEEP=1 lets them sleep)"
  fi
}
