#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "licence.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} rb SEC(".maps");

struct event *layout __attribute__((unused));	/* for Python to read */
__u64 lost;

SEC("tp/syscalls/sys_enter_chroot")
int handle_call(struct trace_event_raw_sys_enter *ctx)
{
	struct event e = {};

	bpf_probe_read_user_str(&e.path, sizeof(e.path), (void *)ctx->args[0]);
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}
