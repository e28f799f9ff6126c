#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "perfbuf.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(int));
} records SEC(".maps");

struct event *layout __attribute__((unused));	/* for Python to read */
__u64 lost;

SEC("tp/syscalls/sys_enter_getpgid")
int handle_call(void *ctx)
{
	struct event e = { .time_ns = bpf_ktime_get_ns() };

	e.uid = bpf_get_current_uid_gid();
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (bpf_perf_event_output(ctx, &records, BPF_F_CURRENT_CPU,
				  &e, sizeof(e)))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}
