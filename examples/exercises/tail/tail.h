/* What the program sends to tail.py for each call. */
#define ROOM 32	/* bytes, with the NUL */

struct event {
	char comm[16];
	char path[ROOM];
};
