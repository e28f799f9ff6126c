/* What the program sends to unset.py for each call. */
struct event {
	char comm[16];
	char name[32];	/* of the file, with a NUL at its end */
};

/* Where a text is in the memory of the process, and how much of it we read. */
struct text {
	const char *address;
	unsigned int size;
};
