/* What the program sends to perfbuf.py for each call. */
struct event {
	__u64 time_ns;	/* perfbuf.py sorts what comes from several CPUs */
	int uid;
	char comm[16];
};
