/* percpu.py passes only_which to the compiler, as a number: -Donly_which=42 */

/* TODO: a counter for each CPU, not one that they share */
BPF_ARRAY(counts, u64, 1);

TRACEPOINT_PROBE(syscalls, sys_enter_getpriority)
{
	int first = 0, which = args->which;
	u64 *counter, before;

	if (which != only_which)
		return 0;
	counter = counts.lookup(&first);
	if (!counter)
		return 0;
	before = *counter;
	for (int i = 0; i < 20; i++)
		bpf_ktime_get_ns();	/* takes time, in which another CPU may count */
	*counter = before + 1;
	return 0;
}
