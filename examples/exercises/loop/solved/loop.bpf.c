#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "loop.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} rb SEC(".maps");

struct event *layout __attribute__((unused));	/* for Python to read */
__u64 lost;

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 64);
	__type(value, struct event);
} calls SEC(".maps");

SEC("tp/syscalls/sys_enter_getsid")
int handle_call(void *ctx)
{
	struct event e = { .uid = bpf_get_current_uid_gid() };

	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (bpf_map_push_elem(&calls, &e, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);	/* the queue is full */
	return 0;
}

SEC("tp/syscalls/sys_enter_getpgid")
int send_calls(void *ctx)
{
	struct event e;

	for (int i = 0; i < 64; i++) {
		if (bpf_map_pop_elem(&calls, &e))
			break;
		if (bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
			__sync_fetch_and_add(&lost, 1);
	}
	return 0;
}
