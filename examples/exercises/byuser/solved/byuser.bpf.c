#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "lib/maps.bpf.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

__u64 lost;	/* calls that found the map full */

SEC("tp/syscalls/sys_enter_getpriority")
int handle_call(void *ctx)
{
	__u64 *counter, zero = 0;
	__u32 key = bpf_get_current_uid_gid();	/* the lower half is the user */

	counter = bpf_map_lookup_or_try_init(&counts, &key, &zero);
	if (counter)
		__sync_fetch_and_add(counter, 1);
	else
		__sync_fetch_and_add(&lost, 1);
	return 0;
}
