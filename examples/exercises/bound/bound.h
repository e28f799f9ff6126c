/* What the program sends to bound.py for each call. */
struct event {
	__u64 bytes;	/* as the process says, also if they are more than text has room for */
	char text[16];
	char comm[16];
};
