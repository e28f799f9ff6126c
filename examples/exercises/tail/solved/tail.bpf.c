#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "tail.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* some programs open many files */
} rb SEC(".maps");

struct event *layout __attribute__((unused));	/* for Python to read */
__u64 lost;

SEC("tp/syscalls/sys_enter_openat")
int handle_open(struct trace_event_raw_sys_enter *ctx)
{
	const char *path = (const char *)ctx->args[1];	/* in the memory of the process */
	struct event e = {};
	char whole[256];
	long size;

	/* With the NUL. If there is more than fits, it is cut off, also with a NUL. */
	size = bpf_probe_read_user_str(whole, sizeof(whole), path);
	if (size < 0)
		return 0;

	if (size > ROOM)
		path += size - ROOM;

	bpf_probe_read_user_str(e.path, sizeof(e.path), path);
	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}
