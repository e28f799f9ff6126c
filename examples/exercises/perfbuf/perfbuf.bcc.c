#include "perfbuf.h"

/* TODO: a perf event array, as kernels before 5.8 need */
BPF_RINGBUF_OUTPUT(records, 16);

BPF_ARRAY(lost, u64, 1);

TRACEPOINT_PROBE(syscalls, sys_enter_getpgid)
{
	struct event e = { .time_ns = bpf_ktime_get_ns() };
	int first = 0;

	e.uid = bpf_get_current_uid_gid();
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (records.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(first);
	return 0;
}
