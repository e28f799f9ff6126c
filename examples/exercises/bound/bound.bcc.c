#include "bound.h"

BPF_RINGBUF_OUTPUT(rb, 16);
BPF_ARRAY(lost, u64, 1);

/* TODO: the verifier refuses this program. Find out why, and change it */
TRACEPOINT_PROBE(syscalls, sys_enter_pwrite64)
{
	struct event e = { .bytes = args->count };
	int first = 0;

	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	bpf_probe_read_user(&e.text, e.bytes, (void *)args->buf);
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(first);
	return 0;
}
