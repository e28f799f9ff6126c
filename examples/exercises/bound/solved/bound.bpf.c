#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "bound.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} rb SEC(".maps");

struct event *layout __attribute__((unused));	/* for Python to read */
__u64 lost;

SEC("tp/syscalls/sys_enter_pwrite64")
int handle_write(struct trace_event_raw_sys_enter *ctx)
{
	struct event e = { .bytes = ctx->args[2] };
	__u64 length = e.bytes;

	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (length > sizeof(e.text))
		length = sizeof(e.text);
	bpf_probe_read_user(&e.text, length, (void *)ctx->args[1]);
	if (bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}
