/* What the program sends to licence.py for each call. */
struct event {
	char comm[16];
	char path[64];
};
