#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "fexit.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} rb SEC(".maps");

struct event *layout __attribute__((unused));	/* for Python to read */
__u64 lost;

/* The prototype is int do_unlinkat(int dfd, struct filename *name). */
SEC("fexit/do_unlinkat")
int BPF_PROG(leave_unlinkat, int dfd, struct filename *name)
{
	struct event e = { .dfd = dfd };

	/* TODO: take the result of the function, and set e.result */

	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}
