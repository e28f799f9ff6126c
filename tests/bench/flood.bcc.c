/* A record for each call of getppid(2): as many as the reader can take, and more. */
#include "flood.h"

BPF_ARRAY(lost, u64, 1);
BPF_RINGBUF_OUTPUT(rb, 4096);	/* pages: 16 MiB */

TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
	struct event e = {
		.time_ns = bpf_ktime_get_ns(),
		.pid = bpf_get_current_pid_tgid() >> 32,
		.cpu = bpf_get_smp_processor_id(),
	};

	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(0);
	return 0;
}
