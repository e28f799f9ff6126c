/* What the program sends to fexit.py for each call. */
struct event {
	int dfd;	/* where a relative path starts: a directory, or AT_FDCWD */
	int result;	/* 0, or a negative error number */
	char comm[16];
};
