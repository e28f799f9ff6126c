#include "bound.h"

BPF_RINGBUF_OUTPUT(rb, 16);
BPF_ARRAY(lost, u64, 1);

TRACEPOINT_PROBE(syscalls, sys_enter_pwrite64)
{
	struct event e = { .bytes = args->count };
	u64 length = e.bytes;
	int first = 0;

	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (length > sizeof(e.text))
		length = sizeof(e.text);
	bpf_probe_read_user(&e.text, length, (void *)args->buf);
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(first);
	return 0;
}
