#include "user.h"

/* user.py passes only_uid to the compiler, as a number: -Donly_uid=65534 */

BPF_RINGBUF_OUTPUT(rb, 16);
BPF_ARRAY(lost, u64, 1);

TRACEPOINT_PROBE(syscalls, sys_enter_getpriority)
{
	struct event e = {};
	int first = 0, wanted = only_uid;

	e.uid = bpf_get_current_uid_gid();	/* the lower half is the user */

	if (e.uid != wanted)
		return 0;

	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(first);
	return 0;
}
