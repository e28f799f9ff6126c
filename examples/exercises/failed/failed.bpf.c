#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "failed.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* some programs open many files */
} rb SEC(".maps");

struct event *layout __attribute__((unused));	/* for Python to read */
__u64 lost;

/* At the end of the call. ctx has no arguments here, only the result: ctx->ret. */
SEC("tp/syscalls/sys_exit_openat")
int handle_return(struct trace_event_raw_sys_exit *ctx)
{
	struct event e = {};

	/* TODO: go on only if the call failed, and set e.error */

	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}
