// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-execcount, libbpf dialect: count the calls of execve and execveat. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "execcount.h"
#include "lib/maps.bpf.h"
#include "lib/processes.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile bool by_comm;	/* a counter for each command, not one for all */

__u64 lost;	/* calls that found the map full */

/* A hash with a string for its key. The Python side creates the entry
 * "execve_counter" with 0 before the programs are attached.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct name);
	__type(value, __u64);
} counts SEC(".maps");

static __always_inline int count(void)
{
	struct name key = { "execve_counter" };
	__u64 *counter, zero = 0;

	if (!process_matches())	/* -p, -c, --cgroup */
		return 0;
	if (by_comm)
		bpf_get_current_comm(&key.text, sizeof(key.text));

	/* Look up the counter; create it with 0 if there is none. */
	counter = bpf_map_lookup_or_try_init(&counts, &key, &zero);
	/* Two CPUs may be here at once. With a plain *counter += 1, both would
	 * read the same number, and one of the calls would not be counted.
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
