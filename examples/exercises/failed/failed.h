/* What the program sends to failed.py for each call. */
struct event {
	int error;	/* as in errno(3): 2 is ENOENT */
	char comm[16];
};
