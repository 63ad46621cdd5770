"""What goes over the network: messages of the WebSocket, bodies of REST, and their reference."""
