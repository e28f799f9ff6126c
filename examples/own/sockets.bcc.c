#include "lib/filter.bcc.h"
#include "sockets.h"

BPF_HASH(counts, struct caller, u64, 10240);
BPF_ARRAY(lost, u64, 1);	/* calls that found the map full */

TRACEPOINT_PROBE(syscalls, sys_enter_socket)
{
	struct caller key = { .pid = bpf_get_current_pid_tgid() >> 32 };
	u64 *count, zero = 0;
	int first = 0;

	if (!uid_matches(only_uid))	/* a number from the compiler: -Donly_uid=-1 */
		return 0;
	bpf_get_current_comm(&key.comm, sizeof(key.comm));
	count = counts.lookup_or_try_init(&key, &zero);
	if (count)
		lock_xadd(count, 1);
	else
		lost.atomic_increment(first);
	return 0;
}
