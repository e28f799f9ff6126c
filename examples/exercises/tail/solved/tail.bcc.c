#include "tail.h"

BPF_RINGBUF_OUTPUT(rb, 256);	/* pages: some programs open many files */
BPF_ARRAY(lost, u64, 1);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
	const char *path = args->filename;	/* in the memory of the process */
	struct event e = {};
	char whole[256];
	int first = 0;
	long size;

	/* With the NUL. If there is more than fits, it is cut off, also with a NUL. */
	size = bpf_probe_read_user_str(whole, sizeof(whole), path);
	if (size < 0)
		return 0;

	if (size > ROOM)
		path += size - ROOM;

	bpf_probe_read_user_str(e.path, sizeof(e.path), path);
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(first);
	return 0;
}
