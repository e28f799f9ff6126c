/* A record for each call of getppid(2): as many as the reader can take, and more. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "flood.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

__u64 lost;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 * 1024 * 1024);
} rb SEC(".maps");

struct event *unused_event __attribute__((unused));

SEC("tp/syscalls/sys_enter_getppid")
int handle_getppid(void *ctx)
{
	struct event e = {
		.time_ns = bpf_ktime_get_ns(),
		.pid = bpf_get_current_pid_tgid() >> 32,
		.cpu = bpf_get_smp_processor_id(),
	};

	if (bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}
