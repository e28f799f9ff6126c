#include "loop.h"

BPF_RINGBUF_OUTPUT(rb, 16);
BPF_ARRAY(lost, u64, 1);

BPF_QUEUE(calls, struct event, 64);

TRACEPOINT_PROBE(syscalls, sys_enter_getsid)
{
	struct event e = { .uid = bpf_get_current_uid_gid() };
	int first = 0;

	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (calls.push(&e, BPF_ANY))
		lost.atomic_increment(first);	/* the queue is full */
	return 0;
}

TRACEPOINT_PROBE(syscalls, sys_enter_getpgid)
{
	struct event e;
	int first = 0;

	for (int i = 0; i < 64; i++) {
		if (calls.pop(&e))
			break;
		if (rb.ringbuf_output(&e, sizeof(e), 0))
			lost.atomic_increment(first);
	}
	return 0;
}
