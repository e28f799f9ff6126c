// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-execcount, BCC dialect: count the calls of execve and execveat. */
#include "execcount.h"
#include "lib/processes.bcc.h"

/* The Python side passes this to the compiler as a number:
 *
 *	-Dby_comm=	a counter for each command, not one for all
 */

BPF_ARRAY(lost, u64, 1);	/* calls that found the map full */

/* A hash with a string for its key. The Python side creates the entry
 * "execve_counter" with 0 before the programs are attached.
 */
BPF_HASH(counts, struct name, u64, 10240);

static __always_inline int count(void)
{
	struct name key = { "execve_counter" };
	u64 *counter, zero = 0;
	int first = 0;

	if (!process_matches())	/* -p, -c, --cgroup */
		return 0;
	if (by_comm)
		bpf_get_current_comm(&key.text, sizeof(key.text));

	/* Look up the counter; create it with 0 if there is none. */
	counter = counts.lookup_or_try_init(&key, &zero);
	/* Two CPUs may be here at once. With a plain *counter += 1, both would
	 * read the same number, and one of the calls would not be counted.
	 */
	if (counter)
		lock_xadd(counter, 1);
	else
		lost.atomic_increment(first);
	return 0;
}

TRACEPOINT_PROBE(syscalls, sys_enter_execve)
{
	return count();
}

/* The same with a directory to start from: what fexecve(3) calls. */
TRACEPOINT_PROBE(syscalls, sys_enter_execveat)
{
	return count();
}
