struct caller {
	int pid;
	char comm[16];
};
