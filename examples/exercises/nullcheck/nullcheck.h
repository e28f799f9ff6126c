/* What the program sends to nullcheck.py for each call. */
struct event {
	int policy;
	int highest;	/* priority of that policy, or a negative errno */
	char comm[16];
};
