#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "returned.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} rb SEC(".maps");

struct event *layout __attribute__((unused));	/* for Python to read */
__u64 lost;

static __always_inline int send(long value, int returned)
{
	struct event e = { .value = value, .returned = returned };

	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

SEC("uprobe")
int BPF_KPROBE(handle_entry, long argument)	/* at the first instruction */
{
	return send(argument, 0);
}

SEC("uretprobe")
int BPF_KRETPROBE(handle_return)		/* where it returns to */
{
	/* TODO: send the result of the function, not 0 */
	return send(0, 1);
}
