/* The key of the hash: a counter for each slot of each command. */
struct key {
	int slot;	/* sizes from 2^slot on */
	char comm[16];
};
