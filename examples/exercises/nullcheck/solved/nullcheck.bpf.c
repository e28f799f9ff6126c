#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "nullcheck.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} rb SEC(".maps");

struct event *layout __attribute__((unused));	/* for Python to read */
__u64 lost;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);	/* the thread */
	__type(value, int);	/* the policy that it asks for */
} calls SEC(".maps");

SEC("tp/syscalls/sys_enter_sched_get_priority_max")
int handle_enter(struct trace_event_raw_sys_enter *ctx)
{
	__u32 tid = bpf_get_current_pid_tgid();
	int policy = ctx->args[0];

	if (policy)	/* not 0: SCHED_OTHER, which most threads have */
		bpf_map_update_elem(&calls, &tid, &policy, BPF_ANY);
	return 0;
}

SEC("tp/syscalls/sys_exit_sched_get_priority_max")
int handle_exit(struct trace_event_raw_sys_exit *ctx)
{
	__u32 tid = bpf_get_current_pid_tgid();
	int *policy = bpf_map_lookup_elem(&calls, &tid);
	struct event e = { .highest = ctx->ret };

	if (!policy)	/* policy 0, or a call that began before us */
		return 0;
	e.policy = *policy;
	bpf_map_delete_elem(&calls, &tid);
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}
