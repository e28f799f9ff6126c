#include "unset.h"

BPF_RINGBUF_OUTPUT(rb, 16);
BPF_ARRAY(lost, u64, 1);

TRACEPOINT_PROBE(syscalls, sys_enter_memfd_create)
{
	struct event e = {};
	struct text name;
	int first = 0;

	name.address = args->uname;
	name.size = sizeof(e.name);
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	bpf_probe_read_user_str(&e.name, name.size, name.address);
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(first);
	return 0;
}
