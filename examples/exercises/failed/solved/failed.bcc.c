#include "failed.h"

BPF_RINGBUF_OUTPUT(rb, 256);	/* pages: some programs open many files */
BPF_ARRAY(lost, u64, 1);

/* At the end of the call. args has no arguments here, only the result: args->ret. */
TRACEPOINT_PROBE(syscalls, sys_exit_openat)
{
	struct event e = {};
	int first = 0;

	if (args->ret >= 0)
		return 0;
	e.error = -args->ret;

	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(first);
	return 0;
}
