// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-execcount, libbpf dialect: count the calls of execve and execveat. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "execcount.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile bool by_comm;	/* a counter for each command, not one for all */

__u64 lost;	/* calls by commands that found no room in the map */

/* A hash with a string for its key. The Python side creates the element
 * "execve_counter" with 0 before the programs are attached.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct name);
	__type(value, __u64);
} counts SEC(".maps");

/* Look a counter up; create it with 0 where there is none. */
static __always_inline __u64 *counter_of(struct name *key)
{
	__u64 *counter = bpf_map_lookup_elem(&counts, key);
	__u64 zero = 0;

	if (counter)
		return counter;
	/* Another CPU may be faster. BPF_NOEXIST keeps what it has counted
	 * by then, and the second look finds its element.
	 */
	bpf_map_update_elem(&counts, key, &zero, BPF_NOEXIST);
	return bpf_map_lookup_elem(&counts, key);
}

static __always_inline int count(void)
{
	struct name key = { "execve_counter" };
	__u64 *counter;

	if (by_comm)
		bpf_get_current_comm(&key.text, sizeof(key.text));

	counter = counter_of(&key);
	/* Two CPUs may be here at once. With a plain *counter += 1 both would
	 * read the same number, and one of the calls would not count.
	 */
	if (counter)
		__sync_fetch_and_add(counter, 1);
	else
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

SEC("tp/syscalls/sys_enter_execve")
int handle_execve(void *ctx)
{
	return count();
}

/* The same with a directory to start from: what fexecve(3) calls. */
SEC("tp/syscalls/sys_enter_execveat")
int handle_execveat(void *ctx)
{
	return count();
}
