/* What the program sends to user.py for each call. */
struct event {
	int uid;
	char comm[16];
};
