// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Broken on purpose, libbpf dialect: a map lookup whose result is not checked. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* How many programs each user has executed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} execs SEC(".maps");

SEC("tp/syscalls/sys_enter_execve")
int count_exec(void *ctx)
{
	__u32 uid = bpf_get_current_uid_gid();
	__u64 *count = bpf_map_lookup_elem(&execs, &uid);

	/* Broken: for a user's first exec there is no element, and count is
	 * NULL. The mended program says here: if (!count) return 0;
	 */
	*count += 1;
	return 0;
}
