#include "perfbuf.h"

BPF_PERF_OUTPUT(records);

BPF_ARRAY(lost, u64, 1);

TRACEPOINT_PROBE(syscalls, sys_enter_getpgid)
{
	struct event e = { .time_ns = bpf_ktime_get_ns() };
	int first = 0;

	e.uid = bpf_get_current_uid_gid();
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (records.perf_submit(args, &e, sizeof(e)))
		lost.atomic_increment(first);
	return 0;
}
