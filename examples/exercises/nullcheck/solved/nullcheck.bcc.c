#include "nullcheck.h"

BPF_RINGBUF_OUTPUT(rb, 16);
BPF_ARRAY(lost, u64, 1);

BPF_HASH(calls, u32, int, 1024);	/* thread -> the policy that it asks for */

TRACEPOINT_PROBE(syscalls, sys_enter_sched_get_priority_max)
{
	u32 tid = bpf_get_current_pid_tgid();
	int policy = args->policy;

	if (policy)	/* not 0: SCHED_OTHER, which most threads have */
		calls.update(&tid, &policy);
	return 0;
}

TRACEPOINT_PROBE(syscalls, sys_exit_sched_get_priority_max)
{
	u32 tid = bpf_get_current_pid_tgid();
	int first = 0, *policy = calls.lookup(&tid);
	struct event e = { .highest = args->ret };

	if (!policy)	/* policy 0, or a call that began before us */
		return 0;
	e.policy = *policy;
	calls.delete(&tid);
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (rb.ringbuf_output(&e, sizeof(e), 0))
		lost.atomic_increment(first);
	return 0;
}
