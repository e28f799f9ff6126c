/* What the programs send to returned.py. */
struct event {
	long value;	/* the argument, or the result */
	int returned;	/* 0: it was called, 1: it returned */
	char comm[16];
	int unused;	/* no byte may be undefined */
};
