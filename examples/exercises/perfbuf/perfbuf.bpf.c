#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "perfbuf.h"

char LICENSE[] SEC("license") = "GPL";

/* TODO: a perf event array, as kernels before 5.8 need */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} records SEC(".maps");

struct event *layout __attribute__((unused));	/* for Python to read */
__u64 lost;

SEC("tp/syscalls/sys_enter_getpgid")
int handle_call(void *ctx)
{
	struct event e = { .time_ns = bpf_ktime_get_ns() };

	e.uid = bpf_get_current_uid_gid();
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (bpf_ringbuf_output(&records, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}
