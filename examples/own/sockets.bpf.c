#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "lib/filter.bpf.h"
#include "lib/maps.bpf.h"
#include "sockets.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct caller);
	__type(value, __u64);
} counts SEC(".maps");

const volatile __s64 only_uid = -1;	/* -1: every user */
__u64 lost;	/* calls that found the map full */

SEC("tp/syscalls/sys_enter_socket")
int count_socket(void *ctx)
{
	struct caller key = { .pid = bpf_get_current_pid_tgid() >> 32 };
	__u64 *count, zero = 0;

	if (!uid_matches(only_uid))
		return 0;
	bpf_get_current_comm(&key.comm, sizeof(key.comm));
	count = bpf_map_lookup_or_try_init(&counts, &key, &zero);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		__sync_fetch_and_add(&lost, 1);
	return 0;
}
