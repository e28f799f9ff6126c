struct event {
	int pid;
	int signal;
	int target;
	char comm[16];
};
