/* What the program sends to loop.py for each call of getsid. */
struct event {
	int uid;
	char comm[16];
};
