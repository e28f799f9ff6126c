#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "user.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} rb SEC(".maps");

struct event *layout __attribute__((unused));	/* for Python to read */
__u64 lost;

const volatile int only_uid;	/* user.py sets it before the program is loaded */

SEC("tp/syscalls/sys_enter_getpriority")
int handle_call(void *ctx)
{
	struct event e = {};

	e.uid = bpf_get_current_uid_gid();	/* the lower half is the user */

	/* TODO: go on only if the call is by only_uid */

	bpf_get_current_comm(&e.comm, sizeof(e.comm));
	if (bpf_ringbuf_output(&rb, &e, sizeof(e), 0))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}
