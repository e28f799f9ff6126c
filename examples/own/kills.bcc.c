#include "kills.h"

BPF_RINGBUF_OUTPUT(rb, 16);
BPF_ARRAY(lost, u64, 1);

TRACEPOINT_PROBE(syscalls, sys_enter_kill)
{
	struct event e = {
		.pid = bpf_get_current_pid_tgid() >> 32,
		.target = args->pid,
		.signal = args->sig,
	};
	int zero = 0;

	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(zero);
	return 0;
}
