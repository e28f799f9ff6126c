BPF_HASH(counts, u32, u64, 10240);
BPF_ARRAY(lost, u64, 1);	/* calls that found the map full */

TRACEPOINT_PROBE(syscalls, sys_enter_getpriority)
{
	u64 *counter, zero = 0;
	int first = 0;
	u32 key = bpf_get_current_uid_gid();	/* the lower half is the user */

	counter = counts.lookup_or_try_init(&key, &zero);
	if (counter)
		lock_xadd(counter, 1);
	else
		lost.atomic_increment(first);
	return 0;
}
