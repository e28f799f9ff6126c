/* What the program sends to port.py for each datagram. */
struct event {
	int port;	/* the receiver's */
	char source[4];	/* the sender's IPv4 address */
};
