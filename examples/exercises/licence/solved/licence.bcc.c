#define BPF_LICENSE GPL

#include "licence.h"

BPF_RINGBUF_OUTPUT(rb, 16);
BPF_ARRAY(lost, u64, 1);

TRACEPOINT_PROBE(syscalls, sys_enter_chroot)
{
	struct event e = {};
	int first = 0;

	bpf_probe_read_user_str(&e.path, sizeof(e.path), args->filename);
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(first);
	return 0;
}
