#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

/* The kernel finds the counter of the CPU that the program runs on. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

const volatile int only_which;	/* percpu.py sets it before the program is loaded */

SEC("tp/syscalls/sys_enter_getpriority")
int handle_call(struct trace_event_raw_sys_enter *ctx)
{
	__u64 *counter, before;
	__u32 first = 0;

	if ((int)ctx->args[0] != only_which)
		return 0;
	counter = bpf_map_lookup_elem(&counts, &first);
	if (!counter)
		return 0;
	before = *counter;
	for (int i = 0; i < 20; i++)
		bpf_ktime_get_ns();	/* takes time, in which another CPU may count */
	*counter = before + 1;
	return 0;
}
